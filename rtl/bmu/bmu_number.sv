// The number of the buffer at an address, and whether a range is one (SPEC 4.4, 5.1): three steps, without a division.
//
// A free asks where its address lies; an enable asks where POOL_END does, which is how many buffers the range has.
module bmu_number #(
    parameter int unsigned BUFFERS = 1024,
    parameter int unsigned WIDTH = 48,
    localparam int unsigned KEPT = WIDTH < 64 ? WIDTH + 1 : 64, // bits of an address: POOL_END may be 2^WIDTH
    localparam int unsigned INDEX_BITS = $clog2(BUFFERS)
) (
    input  logic                  aclk,
    input  logic [1:0]            step,     // 0, 1 and 2; the answer is there in 2
    input  logic                  of_range, // the end of the range is asked for
    input  logic [63:0]           address,
    input  logic [KEPT-1:0]       base,     // POOL_BASE, POOL_END, POOL_STRIDE
    input  logic [KEPT-1:0]       past,
    input  logic [31:0]           stride,

    output logic [INDEX_BITS:0]   number,   // of strides above the base; one of a range may be BUFFERS
    output logic [4:0]            shift,    // log2 of the stride, less 6
    output logic                  outside,  // the address is not in the range
    output logic                  rest,     // it lies within a buffer
    output logic                  is_range, // the range keeps SPEC 5.1 but for NATURAL_ALIGN and POOL_CAPACITY
    output logic                  natural   // POOL_BASE is a multiple of the stride
);
    // Widths of a stride (SPEC 4.2): 2^6 to 2^30.
    localparam int unsigned LEAST = 6, MOST = 30;
    localparam int unsigned NUMBER_BITS = INDEX_BITS + 1;

    logic [KEPT-1:0] base_is, past_is, from;
    logic [31:0]     stride_is;
    logic            is_high;
    logic [KEPT:0]   distance;
    logic [MOST-1:0] mask;     // of the bits within a stride
    logic            is_below, is_power, is_based, is_ended;

    wire [31:0] less = stride_is - 32'd1;

    // 2^MOST and what no stride may be.
    wire is_allowed = |stride_is[MOST:LEAST] & ~|stride_is[31:MOST+1] & ~|(stride_is & less);

    always_ff @(posedge aclk) begin
        if (step == 2'd0) begin
            base_is   <= base;
            past_is   <= past;
            stride_is <= stride;
            from      <= of_range ? past : address[KEPT-1:0];
        end
        if (step == 2'd1) begin
            distance <= {1'b0, from} - {1'b0, base_is};
            is_below <= from < past_is;
            mask     <= less[MOST-1:0];
            is_power <= is_allowed;
            is_based <= base_is[5:0] == 6'd0 & |base_is[KEPT-1:6];
            for (int i = 0; i < 5; i++) shift[i] <= 1'b0;
            for (int i = LEAST; i <= MOST; i++) if (stride_is[i]) shift <= 5'(i - LEAST);
        end
    end

    if (WIDTH < 64) begin : g_narrow
        always_ff @(posedge aclk) begin
            if (step == 2'd0) is_high <= |address[63:WIDTH];
            if (step == 2'd1) is_ended <= ~past_is[WIDTH] | ~|past_is[WIDTH-1:0];
        end
    end else begin : g_wide
        assign is_high  = 1'b0;
        assign is_ended = 1'b1;
    end

    // A list's memory has a bit for each buffer of the range, so the range has no more than it can hold: their end lies just above
    // the bits of `reach`. That spares the way through the shift.
    wire [KEPT-1:0] above = distance[KEPT-1:0];
    wire [KEPT-1:0] reach = KEPT'({mask, {INDEX_BITS{1'b1}}});
    wire is_many = |(above & ~{reach[KEPT-2:0], 1'b1}) | (|(above & ~reach) & |(above & reach));

    assign number   = NUMBER_BITS'(distance[KEPT-1:LEAST] >> shift);
    assign rest     = |(distance[MOST-1:0] & mask);
    assign outside  = is_high | distance[KEPT] | ~is_below;
    assign natural  = ~|(base_is[MOST-1:0] & mask);
    assign is_range = is_power & is_based & is_ended & ~distance[KEPT] & ~rest & ~is_many;
endmodule
