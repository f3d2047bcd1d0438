// The registers (SPEC 3) and what they have the queue do (SPEC 4, 5).
module hwpool_fifo_regs #(
    parameter int unsigned DEPTH = 1024,
    localparam int unsigned BITS = DEPTH > 1 ? $clog2(DEPTH) : 1,
    localparam int unsigned LEVEL_BITS = $clog2(DEPTH + 1)
) (
    input  logic                  aclk,
    input  logic                  clear,       // every register takes its reset value
    input  logic                  works,       // STATUS.READY

    input  logic                  write,       // an access of the bus; never both
    input  logic                  read,
    input  logic [11:0]           offset,
    input  logic [31:0]           write_data,
    output logic [31:0]           read_data,   // from the cycle after `read` on

    output logic                  push,        // the queue takes `number`
    output logic [BITS-1:0]       number,
    output logic                  pop,         // the queue gives its oldest number
    input  logic [BITS-1:0]       popped,
    input  logic [LEVEL_BITS-1:0] level,
    input  logic                  empty,
    input  logic                  full,

    output logic                  happens,     // the event, and what decides on its message
    output logic                  cleared,
    output logic                  enabled,
    output logic                  enables,
    input  logic                  low,

    output logic                  soft_reset,
    input  logic [30:0]           reset_count
);
    // All bits of an offset count: at others, there is no register (SPEC 2).
    localparam logic [11:0] IDENTITY    = 12'h000;
    localparam logic [11:0] VERSION     = 12'h004;
    localparam logic [11:0] DEPTH_      = 12'h008;
    localparam logic [11:0] SCRATCH     = 12'h00c;
    localparam logic [11:0] CONTROL     = 12'h010;
    localparam logic [11:0] STATUS      = 12'h014;
    localparam logic [11:0] LEVEL       = 12'h018;
    localparam logic [11:0] ERROR       = 12'h01c;
    localparam logic [11:0] POP         = 12'h020;
    localparam logic [11:0] PUSH        = 12'h024;
    localparam logic [11:0] RESET       = 12'h028;
    localparam logic [11:0] RESET_COUNT = 12'h02c;
    localparam logic [11:0] THRESHOLD   = 12'h030;
    localparam logic [11:0] EVENT       = 12'h034;
    localparam logic [11:0] EVENT_SET   = 12'h038;

    localparam logic [31:0] RESET_KEY = 32'h5445_5352;

    logic [30:0] scratch;
    logic        enable;
    logic [2:0]  error;
    logic [24:0] threshold;

    // SPEC 6: in a reset, writes are ignored.
    wire writes = write & works;

    // SPEC 4.2: the first rule that holds is the one reported.
    wire pushes  = writes & (offset == PUSH);
    wire outside = {1'b0, write_data[23:0]} >= 25'(DEPTH);
    logic [2:0] refusal;
    always_comb begin
        if (~enable) refusal = 3'b100;
        else if (outside) refusal = 3'b010;
        else if (full) refusal = 3'b001;
        else refusal = 3'b000;
    end
    assign push   = pushes & (refusal == 3'b000);
    assign number = write_data[BITS-1:0];

    // SPEC 4.3: a pop that finds nothing changes nothing.
    assign pop = read & works & (offset == POP) & enable & ~empty;

    // SPEC 5: a pop that takes LEVEL from THRESHOLD to THRESHOLD - 1, and nothing else. A pop never finds LEVEL 0.
    wire falls = pop & (25'(level) == threshold);
    assign happens = falls | (writes & (offset == EVENT_SET) & write_data[0]);
    assign cleared = writes & (offset == EVENT) & write_data[0];
    assign enables = writes & (offset == CONTROL) & write_data[1] & ~enabled;

    assign soft_reset = writes & (offset == RESET) & (write_data == RESET_KEY);

    always_ff @(posedge aclk) begin
        if (clear) begin
            scratch   <= '0;
            enable    <= 1'b0;
            enabled   <= 1'b0;
            error     <= '0;
            threshold <= '0;
        end else if (writes) begin
            case (offset)
                SCRATCH:   scratch <= write_data[30:0];
                CONTROL:   {enabled, enable} <= write_data[1:0];
                ERROR:     error <= error & ~write_data[2:0];
                PUSH:      error <= error | refusal;
                THRESHOLD: threshold <= write_data[24:0];
                default:   ;
            endcase
        end
    end

    // What a read gives but for POP's number, which the memory gives by itself.
    logic [31:0] word, word_read;
    logic        gives;
    always_comb begin
        case (offset)
            IDENTITY:         word = 32'h4f46_4946;
            VERSION:          word = 32'h0001_0000;
            DEPTH_:           word = 32'(DEPTH);
            SCRATCH:          word = {1'b0, scratch};
            CONTROL:          word = {30'd0, enabled, enable};
            STATUS:           word = {29'd0, full, empty, works};
            LEVEL:            word = 32'(level);
            ERROR:            word = {29'd0, error};
            RESET_COUNT:      word = {1'b0, reset_count};
            THRESHOLD:        word = {7'd0, threshold};
            EVENT, EVENT_SET: word = {31'd0, low};
            default:          word = 32'd0; // PUSH and RESET too, which are for writes alone
        endcase
        // SPEC 6: in a reset, STATUS works and all others read 0.
        if (~works & (offset != STATUS)) word = 32'd0;
    end
    always_ff @(posedge aclk) begin
        if (read) begin
            word_read <= word;
            gives     <= pop;
        end
    end
    assign read_data = gives ? {8'h80, 24'(popped)} : word_read;
endmodule
