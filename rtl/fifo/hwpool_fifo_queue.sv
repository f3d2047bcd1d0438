// The numbers, in the order in which they came (SPEC 4.1). Whoever pushes and pops looks at `empty` and `full`.
//
// A push and a pop never come in the same cycle, so the memory needs no bypass: block RAM of one write and one read port.
module hwpool_fifo_queue #(
    parameter int unsigned DEPTH = 1024,
    localparam int unsigned BITS = DEPTH > 1 ? $clog2(DEPTH) : 1, // of a number, and of a place
    localparam int unsigned LEVEL_BITS = $clog2(DEPTH + 1)
) (
    input  logic                  aclk,
    input  logic                  clear,
    input  logic                  push,
    input  logic [BITS-1:0]       number,
    input  logic                  pop,
    output logic [BITS-1:0]       popped, // from the cycle after `pop` on, until the next one
    output logic [LEVEL_BITS-1:0] level,
    output logic                  empty,
    output logic                  full
);
    localparam logic [BITS-1:0] LAST = BITS'(DEPTH - 1);

    logic [BITS-1:0] numbers [DEPTH];
    logic [BITS-1:0] oldest, next; // places of the oldest number, and of the next one that comes

    assign empty = level == '0;
    assign full  = level == LEVEL_BITS'(DEPTH);

    always_ff @(posedge aclk) begin
        if (clear) begin
            oldest <= '0;
            next   <= '0;
            level  <= '0;
        end else if (push) begin
            next  <= next == LAST ? '0 : next + 1'b1;
            level <= level + 1'b1;
        end else if (pop) begin
            oldest <= oldest == LAST ? '0 : oldest + 1'b1;
            level  <= level - 1'b1;
        end
    end

    always_ff @(posedge aclk) if (push) numbers[next] <= number;
    always_ff @(posedge aclk) if (pop) popped <= numbers[oldest];

`ifdef FORMAL // a memory that a proof can look into
    logic [DEPTH*BITS-1:0] seen_numbers;
    always_comb for (int i = 0; i < DEPTH; i++) seen_numbers[i*BITS +: BITS] = numbers[i];
`endif
endmodule
