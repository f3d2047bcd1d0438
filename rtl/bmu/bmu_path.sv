// The register path by halves: what a page of a pool keeps (SPEC 2.1, 4.8), beside the pool's registers.
//
// An access of BAR 0 goes to the pool as it is. In a page of BAR 2, the low half of POOL_ALLOC takes a buffer, and the high half
// of POOL_FREE gives one back; the other two touch nothing but what the page keeps.
module bmu_path #(
    parameter int unsigned POOLS = 4
) (
    input  logic        aclk,
    input  logic        clear,
    input  logic        valid,     // an access, until it is done
    input  logic        write,
    input  logic        page,      // of BAR 2
    input  logic [5:0]  pool,
    input  logic [11:0] offset,    // it stands there a cycle earlier, as all of the access does
    input  logic [31:0] data,
    output logic        done,
    output logic [31:0] answer,

    output logic        own_valid, // an operation of bmu_pools, until it is done
    output logic [2:0]  own_op,
    output logic [63:0] own_value,
    input  logic        own_done,
    input  logic [63:0] own_answer
);
    localparam int unsigned POOL_BITS = POOLS > 1 ? $clog2(POOLS) : 1;
    localparam logic [2:0] ALLOC = 3'd0, FREE = 3'd1, READ = 3'd3, WRITE = 3'd4;
    localparam logic [11:0] ALLOC_LOW = 12'h0, ALLOC_HIGH = 12'h4, FREE_LOW = 12'h8, FREE_HIGH = 12'hc;

    // What no reset clears is 0 until it was written since then.
    logic [31:0]      alloc_highs [POOLS], free_lows [POOLS];
    logic [POOLS-1:0] has_alloc, has_free;
    wire [POOL_BITS-1:0] at = pool[POOL_BITS-1:0];
    wire [POOLS-1:0] here = POOLS'(64'd1 << pool);
    wire [31:0] alloc_high = |(has_alloc & here) ? alloc_highs[at] : 32'd0;
    // The offset stands there a cycle before the access.
    logic [31:0] kept;   // what a read of the page gives, but for a buffer
    logic        is_own; // it is an operation
    wire [31:0] free_low   = |(has_free & here) ? free_lows[at] : 32'd0;

    wire allocs = page & ~write & offset == ALLOC_LOW;
    wire frees  = page & write & offset == FREE_HIGH;
    wire keeps_alloc = valid & done & allocs;
    wire keeps_free  = valid & page & write & offset == FREE_LOW;

    always_ff @(posedge aclk) is_own <= ~page | allocs | frees;
    assign own_valid = valid & is_own;
    assign own_value = page ? {data, free_low} : {32'd0, data};
    assign done      = own_valid ? own_done : valid;
    always_comb begin
        if (page) own_op = write ? FREE : ALLOC;
        else own_op = write ? WRITE : READ;
    end
    always_comb begin
        answer = own_answer[31:0];
        if (page & ~allocs) answer = kept;
    end
    always_ff @(posedge aclk) kept <= offset == ALLOC_HIGH & ~write ? alloc_high : 32'd0;

    always_ff @(posedge aclk) begin
        if (clear) {has_alloc, has_free} <= '0;
        else begin
            if (keeps_alloc) has_alloc <= has_alloc | here;
            if (keeps_free) has_free <= has_free | here;
        end
    end
    always_ff @(posedge aclk) if (keeps_alloc) alloc_highs[at] <= own_answer[63:32];
    always_ff @(posedge aclk) if (keeps_free) free_lows[at] <= data;
endmodule
