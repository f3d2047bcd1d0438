// EVENT.LOW and the message of vector 0 (SPEC 5).
//
// A message waits until it is taken. One more that comes meanwhile is told by the one that waits, as in the pending bit of
// MSI-X; one that comes in the cycle in which that is taken is told by a message of its own.
module hwpool_fifo_irq (
    input  logic aclk,
    input  logic clear,      // any reset
    input  logic drop,       // a reset of the function: what waits isn't sent
    input  logic happens,    // LEVEL falls below THRESHOLD, or EVENT_SET says so
    input  logic cleared,    // a 1 is written to EVENT.LOW
    input  logic enabled,    // CONTROL.IRQ_ENABLE
    input  logic enables,    // a 1 is written to it, and it was 0
    output logic low,        // EVENT.LOW
    output logic irq_valid,
    input  logic irq_ready
);
    wire sends = ~clear & ((happens & ~low & enabled) | (enables & low));

    always_ff @(posedge aclk) begin
        if (clear) low <= 1'b0;
        else if (happens) low <= 1'b1;
        else if (cleared) low <= 1'b0;
    end

    always_ff @(posedge aclk) begin
        if (drop) irq_valid <= 1'b0;
        else if (sends) irq_valid <= 1'b1;
        else if (irq_ready) irq_valid <= 1'b0;
    end
endmodule
