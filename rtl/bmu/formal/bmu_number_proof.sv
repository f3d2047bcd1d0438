// The number of the buffer at an address, and which ranges are ranges (SPEC 4.4, 5.1), for all addresses and strides. Read by yosys alone.
//
// One run each stride of 2^LOG2; what is no power of two is none in any of them. Nothing is divided here either.
module bmu_number_proof #(
    parameter int unsigned BUFFERS = 1024,
    parameter int unsigned WIDTH = 48,
    parameter int unsigned LOG2 = 12, // 6 to 30
    localparam int unsigned KEPT = WIDTH < 64 ? WIDTH + 1 : 64
) (
    input logic            aclk, of_range,
    input logic [63:0]     address,
    input logic [KEPT-1:0] base, past,
    input logic [31:0]     stride
);
    localparam int unsigned INDEX_BITS = $clog2(BUFFERS);
    logic [1:0]            step = 2'd0;
    logic [INDEX_BITS:0]   number;
    logic [4:0]            shift;
    logic                  outside, rest, is_range, natural;

    bmu_number #(.BUFFERS(BUFFERS), .WIDTH(WIDTH)) numbers (
        .aclk, .step, .of_range, .address, .base, .past, .stride, .number, .shift, .outside, .rest, .is_range, .natural
    );

    logic            was_of_range;
    logic [63:0]     was_address;
    logic [KEPT-1:0] was_base, was_past;
    logic [31:0]     was_stride;
    always_ff @(posedge aclk) begin
        step <= step == 2'd2 ? 2'd0 : step + 2'd1;
        {was_of_range, was_address, was_base, was_past, was_stride} <= {of_range, address, base, past, stride};
    end
    always_comb begin
        if (step != 0) stays: assume ({was_of_range, was_address, was_base, was_past, was_stride}
                                      == {of_range, address, base, past, stride});
    end

    // With room for whatever is added.
    localparam int unsigned WIDE = KEPT + 40;
    wire [WIDE-1:0] size = WIDE'(1) << LOG2, from = WIDE'(base), to = WIDE'(past), at = WIDE'(address);
    wire is_stride = WIDE'(stride) == size;
    // One with no buffer counts as one here: POOL_CAPACITY, which is 1 or more, refuses it.
    wire is_one    = from != 0 & from[5:0] == 0 & to >= from & to <= WIDE'(1) << WIDTH
                   & ((to - from) & (size - 1)) == 0 & to - from <= size << INDEX_BITS;
    wire [WIDE-1:0] place = WIDE'(number) << LOG2;

    always_ff @(posedge aclk) begin
        steps: assert (step <= 2);
        if (step == 2) begin
            no_other_stride: assert (~is_range | (stride >= 64 & stride <= 32'h4000_0000 & (stride & (stride - 1)) == 0));
            shift_is:    assert (~is_stride | shift == LOG2 - 6);
            natural_is:  assert (~is_stride | natural == ((from & (size - 1)) == 0));
            range_is:    assert (~(of_range & is_stride) | is_range == is_one);
            range_has:   assert (~(of_range & is_stride & is_one) | from + place == to);
            outside_is:  assert (of_range | ~is_stride | ~is_one | outside == (at < from | at >= to));
            number_is:   assert (of_range | ~is_stride | ~is_one | outside
                                 | (number < BUFFERS & from + place <= at & at < from + place + size));
            rest_is:     assert (of_range | ~is_stride | ~is_one | outside | rest == (from + place != at));
        end
    end
endmodule
