// A word for each pool, with one port that writes and two that read at once: memory of lookup tables.
module bmu_words #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned BITS = 32,
    localparam int unsigned POOL_BITS = POOLS > 1 ? $clog2(POOLS) : 1
) (
    input  logic                 aclk,
    input  logic                 write,
    input  logic [POOL_BITS-1:0] write_pool,
    input  logic [BITS-1:0]      data,
    input  logic [POOL_BITS-1:0] first_pool,
    output logic [BITS-1:0]      first,
    input  logic [POOL_BITS-1:0] second_pool,
    output logic [BITS-1:0]      second
);
    logic [BITS-1:0] words [POOLS];

    assign first  = words[first_pool];
    assign second = words[second_pool];

    always_ff @(posedge aclk) if (write) words[write_pool] <= data;
endmodule
