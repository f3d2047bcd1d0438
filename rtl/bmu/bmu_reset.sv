// All kinds of reset, how many there were, and when the last one is over (SPEC 4.3, 9.2).
//
// The count is all that a reset leaves, so it has a reset of its own, at power-up, and a start value where there is none.
module bmu_reset (
    input  logic        aclk,
    input  logic        por_n,      // power-up
    input  logic        aresetn,    // the bus and the function
    input  logic        flr,        // the function alone
    input  logic        soft_reset, // the key is written to RESET
    input  logic        cleared,    // lists and registers of all pools and portals are
    output logic        outside,    // a reset from outside of the function is there
    output logic        clear,      // everything takes its reset value, in the cycle after
    output logic        ready,      // STATUS.READY
    output logic [30:0] count
);
    logic outside_before;

    initial begin
        count = '0;
        outside_before = 1'b1; // the reset that a power-up brings is none to count
    end

    assign outside = ~por_n | ~aresetn | flr;
    wire   begins  = outside | soft_reset;

    // A register, since all of the device hangs on it.
    always_ff @(posedge aclk) begin
        clear <= begins;
        ready <= ~begins & ~clear & (ready | cleared);
        outside_before <= outside;
        if (~por_n) count <= '0;
        else if ((outside & ~outside_before) | soft_reset) count <= count + 1'b1;
    end
endmodule
