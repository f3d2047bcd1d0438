// Identity, capabilities and control (SPEC 4.1, 4.2, 4.3). Each access is done in its cycle.
module bmu_device #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned PORTALS = 0,
    parameter int unsigned VECTORS = 8,
    parameter int unsigned BUFFERS = 1024,
    parameter int unsigned RING_MIN_LOG2 = 3,
    parameter int unsigned RING_MAX_LOG2 = 10,
    parameter int unsigned WIDTH = 48,
    parameter int unsigned HALVES_ONLY = 0,
    parameter int unsigned TIMEOUT_MS = 100,
    parameter int unsigned EMPTYING_MS = 100
) (
    input  logic        aclk,
    input  logic        clear,
    input  logic        ready,
    input  logic        valid,
    input  logic        write,
    input  logic [7:0]  offset,
    input  logic [31:0] data,
    output logic [31:0] answer,

    output logic        enable,     // CONTROL
    output logic        quiesce,
    input  logic        quiesced,   // no DMA is under way
    output logic        soft_reset, // the key is written
    input  logic [30:0] reset_count
);
    localparam logic [7:0] MAGIC          = 8'h00;
    localparam logic [7:0] VERSION        = 8'h04;
    localparam logic [7:0] IMPLEMENTATION = 8'h08;
    localparam logic [7:0] LIVENESS       = 8'h0c;
    localparam logic [7:0] SCRATCH        = 8'h10;
    localparam logic [7:0] SCRATCH_HIGH   = 8'h14;
    localparam logic [7:0] CAP_COUNTS     = 8'h20;
    localparam logic [7:0] CAP_RINGS      = 8'h24;
    localparam logic [7:0] CAP_ADDRESS    = 8'h28;
    localparam logic [7:0] CAP_FEATURES   = 8'h2c;
    localparam logic [7:0] CAP_BUFFERS    = 8'h30;
    localparam logic [7:0] CAP_TIMEOUT    = 8'h38;
    localparam logic [7:0] CAP_EMPTYING   = 8'h3c;
    localparam logic [7:0] CONTROL        = 8'h40;
    localparam logic [7:0] STATUS         = 8'h44;
    localparam logic [7:0] RESET          = 8'h48;
    localparam logic [7:0] RESET_COUNT    = 8'h4c;

    localparam logic [31:0] RESET_KEY = 32'h5445_5352;

    // SPEC 4.2: REGISTER_PATH, THRESHOLDS, NATURAL_ALIGN, INJECTION, HALVES, POWER_OF_TWO, BUSY; with portals those and
    // WRITE_FAULTS, since an AXI write has a response.
    localparam logic [31:0] FEATURES =
        32'h0000_01bd | (PORTALS > 0 ? 32'h0000_0202 : 32'h0) | (HALVES_ONLY != 0 ? 32'h0000_0040 : 32'h0);
    localparam int unsigned MIN_STRIDE_LOG2 = 6;
    localparam int unsigned MAX_STRIDE_LOG2 = 30;

    logic [31:0] unliveness; // what was written last, complemented
    logic [63:0] scratch;

    wire writes = valid & write;
    wire [7:0] at = {1'b0, offset[6:2], 2'b00}; // what else there is of an offset of these words

    assign soft_reset = writes & at == RESET & data == RESET_KEY;

    always_ff @(posedge aclk) begin
        if (clear) begin
            unliveness <= '0;
            scratch    <= '0;
            enable     <= 1'b0;
            quiesce    <= 1'b0;
        end else if (writes) begin
            case (at)
                LIVENESS:     unliveness <= ~data;
                SCRATCH:      scratch[31:0] <= data;
                SCRATCH_HIGH: scratch[63:32] <= data;
                CONTROL:      {quiesce, enable} <= data[1:0];
                default:      ;
            endcase
        end
    end

    logic [31:0] word;
    always_comb begin
        case (at)
            MAGIC:          word = 32'h3155_4d42;
            VERSION:        word = 32'h0001_0001;
            IMPLEMENTATION: word = 32'h0002_0001;
            LIVENESS:       word = unliveness;
            SCRATCH:        word = scratch[31:0];
            SCRATCH_HIGH:   word = scratch[63:32];
            CAP_COUNTS:     word = {10'd0, 6'(VECTORS), 1'b0, 7'(PORTALS), 1'b0, 7'(POOLS)};
            CAP_RINGS:      word = {19'd0, 5'(RING_MAX_LOG2), 3'd0, 5'(RING_MIN_LOG2)};
            CAP_ADDRESS:    word = {11'd0, 5'(MAX_STRIDE_LOG2), 3'd0, 5'(MIN_STRIDE_LOG2), 1'b0, 7'(WIDTH)};
            CAP_FEATURES:   word = FEATURES;
            CAP_BUFFERS:    word = 32'(BUFFERS);
            CAP_TIMEOUT:    word = 32'(TIMEOUT_MS);
            CAP_EMPTYING:   word = 32'(EMPTYING_MS);
            CONTROL:        word = {30'd0, quiesce, enable};
            STATUS:         word = {30'd0, quiesce & quiesced, ready};
            RESET_COUNT:    word = {1'b0, reset_count};
            default:        word = 32'd0; // RESET too, which is for writes alone
        endcase
    end
    always_ff @(posedge aclk) answer <= word;

    wire unused = &{offset[7], offset[1:0]};
endmodule
