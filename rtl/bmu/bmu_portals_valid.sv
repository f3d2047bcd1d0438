// May a portal be enabled with this configuration (SPEC 6.2)?
module bmu_portals_valid #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned RING_MIN_LOG2 = 3,
    parameter int unsigned RING_MAX_LOG2 = 10,
    parameter int unsigned WIDTH = 48
) (
    input  logic [POOLS-1:0] pool_enabled,
    input  logic [5:0]       pool,
    input  logic [4:0]       release_log2,
    input  logic [4:0]       acquire_log2,
    input  logic [63:0]      release_base,
    input  logic [63:0]      acquire_base,
    input  logic [63:0]      status_base,
    input  logic [31:0]      credits,
    input  logic [31:0]      hysteresis,
    output logic             valid
);
    function automatic logic ring_is(input logic [4:0] log2, input logic [63:0] base);
        ring_is = log2 >= 5'(RING_MIN_LOG2) & log2 <= 5'(RING_MAX_LOG2) & memory_is(base)
            & fits({1'b0, base} + (65'd8 << log2) - 65'd1);
    endfunction

    function automatic logic memory_is(input logic [63:0] base);
        memory_is = base[5:0] == 6'd0 & base != 64'd0 & fits({1'b0, base});
    endfunction

    // Within WIDTH bits.
    function automatic logic fits(input logic [64:0] address);
        fits = address >> WIDTH == 65'd0;
    endfunction

    logic [63:0] enabled; // pools, those that do not exist among them
    assign enabled = 64'(pool_enabled);

    wire [4:0]  smaller = release_log2 < acquire_log2 ? release_log2 : acquire_log2;
    wire [31:0] most_hysteresis = (32'd1 << smaller) >> 1;

    assign valid = enabled[pool]
        & ring_is(release_log2, release_base) & ring_is(acquire_log2, acquire_base)
        & memory_is(status_base)
        & credits != 32'd0 & credits <= (32'd1 << acquire_log2)
        & hysteresis != 32'd0 & hysteresis <= most_hysteresis;
endmodule
