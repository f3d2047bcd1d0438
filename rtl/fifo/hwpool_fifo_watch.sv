// Finds a number that is pushed while it is in the queue: the host's mistake, which the device takes as it comes (SPEC 4.4).
//
// One bit a number: it is in the queue. A push looks at its bit in the first cycle; marks are made in the second cycle of a
// push or a pop, and no other access falls into that. Every reset clears the bits, one in each cycle.
module hwpool_fifo_watch #(
    parameter int unsigned DEPTH = 1024,
    localparam int unsigned BITS = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input  logic            aclk,
    input  logic            clear,
    input  logic            sweep,  // clear the bits
    output logic            swept,  // with this cycle, all are
    input  logic            push,   // one that the queue takes
    input  logic [BITS-1:0] number,
    input  logic            pop,    // one that gives a number
    input  logic [BITS-1:0] popped, // which one, in the cycle after `pop`
    output logic            double_push
);
    logic            in_queue [DEPTH];
    logic [BITS-1:0] place; // that the sweep is at
    logic            marks, unmarks, was_in;
    logic [BITS-1:0] pushed;

    assign swept       = place == BITS'(DEPTH - 1);
    assign double_push = marks & was_in;

    wire [BITS-1:0] written = sweep ? place : unmarks ? popped : pushed;

    always_ff @(posedge aclk) begin
        if (clear | ~sweep) place <= '0;
        else place <= place + 1'b1;
        marks   <= push & ~clear;
        unmarks <= pop & ~clear;
        if (push) pushed <= number;
    end

    always_ff @(posedge aclk) if (push) was_in <= in_queue[number];
    always_ff @(posedge aclk) if (sweep | marks | unmarks) in_queue[written] <= marks & ~sweep;

`ifdef FORMAL // a memory that a proof can look into
    logic [DEPTH-1:0] seen_in_queue;
    always_comb for (int i = 0; i < DEPTH; i++) seen_in_queue[i] = in_queue[i];
`endif
endmodule
