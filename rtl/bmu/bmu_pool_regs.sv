// The registers of all pools, which writes of them are refused, and events and errors of each (SPEC 4.6, 5, 5.2).
//
// What is kept for a pool lies in small memories that all pools share: one operation at a time looks at its pool's words, and
// `acts` in its last step.
module bmu_pool_regs #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned BUFFERS = 1024,
    parameter int unsigned WIDTH = 48,
    localparam int unsigned POOL_BITS = POOLS > 1 ? $clog2(POOLS) : 1,
    localparam int unsigned COUNT_BITS = $clog2(BUFFERS) + 1,
    localparam int unsigned KEPT = WIDTH < 64 ? WIDTH + 1 : 64
) (
    input  logic                  aclk,
    input  logic                  clear,
    input  logic                  wiping,     // a reset clears the words of `wipe_pool`
    input  logic [POOL_BITS-1:0]  wipe_pool,

    input  logic [POOL_BITS-1:0]  early_pool, // of the operation that follows: where its pool's buffers lie
    output logic [KEPT-1:0]       early_base,
    output logic [KEPT-1:0]       early_past,
    output logic [31:0]           early_stride,

    input  logic [POOL_BITS-1:0]  pool,       // of the operation
    input  logic                  acts,       // its last step, once
    input  logic                  writes,     // it is a write of the register at `offset`
    input  logic [7:0]            offset,
    input  logic [31:0]           data,
    input  logic                  is_range,   // what bmu_number found in POOL_BASE, POOL_END and POOL_STRIDE
    input  logic                  is_natural,
    input  logic [COUNT_BITS-1:0] number,     // of buffers in the range
    input  logic                  used,       // a portal names the pool
    input  logic                  busy,       // its list is being emptied
    input  logic [COUNT_BITS-1:0] count,      // POOL_AVAILABLE
    input  logic                  push,       // the operation changes the list
    input  logic                  pop,
    input  logic                  fails,      // or is refused: the free of an address
    input  logic [2:0]            fails_kind,
    input  logic [63:0]           address,

    output logic [31:0]           answer,     // what a read of the register gives
    output logic [POOLS-1:0]      enabled,    // of each pool
    output logic                  is_enabled, // of this one
    output logic                  is_full,
    output logic                  aligns,     // NATURAL_ALIGN
    output logic [KEPT-1:0]       base,
    output logic                  forget,     // the write disables the pool

    output logic [5:0]            kinds,      // errors that the operation has: for the device's registers
    output logic [2:0]            source,
    output logic [63:0]           about,
    output logic                  raise,      // the pool's vector
    output logic [4:0]            vector
);
    localparam logic [7:0] CONTROL       = 8'h00;
    localparam logic [7:0] STATUS        = 8'h04;
    localparam logic [7:0] BASE          = 8'h08;
    localparam logic [7:0] BASE_HIGH     = 8'h0c;
    localparam logic [7:0] END           = 8'h10;
    localparam logic [7:0] END_HIGH      = 8'h14;
    localparam logic [7:0] STRIDE        = 8'h18;
    localparam logic [7:0] CAPACITY      = 8'h1c;
    localparam logic [7:0] AVAILABLE     = 8'h20;
    localparam logic [7:0] LOW           = 8'h24;
    localparam logic [7:0] HIGH          = 8'h28;
    localparam logic [7:0] EVENT         = 8'h2c;
    localparam logic [7:0] EVENT_SET     = 8'h30;
    localparam logic [7:0] EVENT_ENABLE  = 8'h34;
    localparam logic [7:0] VECTOR        = 8'h38;
    localparam logic [7:0] ERROR         = 8'h3c;
    localparam logic [7:0] ERROR_SET     = 8'h40;
    localparam logic [7:0] ERROR_ADDRESS = 8'h48;
    localparam logic [7:0] ADDRESS_HIGH  = 8'h4c;

    localparam logic [2:0] REGISTER_PATH = 3'd0, CONFIGURATION = 3'd3, INJECTED = 3'd4;
    localparam logic [5:0] CONFIG = 6'b100000;
    // What the two high halves keep, and whether there is anything.
    localparam int unsigned TOP = KEPT - 32;

    // ---- the words -----------------------------------------------------------------------------------------------------
    logic [31:0]    base_low, end_low, stride, capacity, low, high;
    logic [TOP-1:0] base_high, end_high;
    logic [31:0]    early_base_low, early_end_low;
    logic [TOP-1:0] early_base_high, early_end_high;
    logic           is_locked, changes; // the word is one that locks, and the write would change it
    wire            keeps = acts & writes & ~(is_locked & is_enabled);
    wire [31:0]     kept = wiping ? 32'd0 : data;
    wire [POOL_BITS-1:0] kept_pool = wiping ? wipe_pool : pool;

    wire writes_base_low  = wiping | (keeps & offset == BASE);
    wire writes_base_high = wiping | (keeps & offset == BASE_HIGH);
    wire writes_end_low   = wiping | (keeps & offset == END);
    wire writes_end_high  = wiping | (keeps & offset == END_HIGH);
    wire writes_stride    = wiping | (keeps & offset == STRIDE);
    wire writes_capacity  = wiping | (keeps & offset == CAPACITY);
    wire writes_low       = wiping | (keeps & offset == LOW);
    wire writes_high      = wiping | (keeps & offset == HIGH);

    bmu_words #(.POOLS(POOLS)) base_lows (
        .aclk, .write(writes_base_low), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(early_base_low), .second_pool(pool), .second(base_low)
    );
    bmu_words #(.POOLS(POOLS), .BITS(TOP)) base_highs (
        .aclk, .write(writes_base_high), .write_pool(kept_pool), .data(kept[TOP-1:0]),
        .first_pool(early_pool), .first(early_base_high), .second_pool(pool), .second(base_high)
    );
    bmu_words #(.POOLS(POOLS)) end_lows (
        .aclk, .write(writes_end_low), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(early_end_low), .second_pool(pool), .second(end_low)
    );
    bmu_words #(.POOLS(POOLS), .BITS(TOP)) end_highs (
        .aclk, .write(writes_end_high), .write_pool(kept_pool), .data(kept[TOP-1:0]),
        .first_pool(early_pool), .first(early_end_high), .second_pool(pool), .second(end_high)
    );
    bmu_words #(.POOLS(POOLS)) strides (
        .aclk, .write(writes_stride), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(early_stride), .second_pool(pool), .second(stride)
    );
    logic [31:0] unused_capacity, unused_low, unused_high;
    bmu_words #(.POOLS(POOLS)) capacities (
        .aclk, .write(writes_capacity), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(unused_capacity), .second_pool(pool), .second(capacity)
    );
    bmu_words #(.POOLS(POOLS)) lows (
        .aclk, .write(writes_low), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(unused_low), .second_pool(pool), .second(low)
    );
    bmu_words #(.POOLS(POOLS)) highs (
        .aclk, .write(writes_high), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(unused_high), .second_pool(pool), .second(high)
    );
    assign early_base = {early_base_high, early_base_low};
    assign early_past = {early_end_high, early_end_low};
    assign base       = {base_high, base_low};

    // ---- what is written once an operation -----------------------------------------------------------------------------
    logic       natural, natural_next, armed, armed_next;
    logic [1:0] event_is, event_next, event_enable, event_enable_next;
    logic [4:0] vector_next;
    logic [5:0] error, error_next;
    logic [63:0] error_address, error_address_next;
    logic [16:0] unused_state;
    logic [63:0] unused_address;
    bmu_words #(.POOLS(POOLS), .BITS(17)) states (
        .aclk, .write(wiping | acts), .write_pool(kept_pool),
        .data(wiping ? '0 : {natural_next, armed_next, event_next, event_enable_next, vector_next, error_next}),
        .first_pool(early_pool), .first(unused_state),
        .second_pool(pool), .second({natural, armed, event_is, event_enable, vector, error})
    );
    bmu_words #(.POOLS(POOLS), .BITS(64)) error_addresses (
        .aclk, .write(wiping | acts), .write_pool(kept_pool), .data(wiping ? '0 : error_address_next),
        .first_pool(early_pool), .first(unused_address), .second_pool(pool), .second(error_address)
    );
    assign aligns = natural;

    // ---- comparisons, a cycle ahead ------------------------------------------------------------------------------------
    // Nothing that they look at changes while the operation is here, but before its first step.
    logic has_capacity, is_at_low, gets_high;
    wire [31:0] available = 32'(count);
    always_ff @(posedge aclk) begin
        is_full      <= available >= capacity;
        is_at_low    <= available == low & |low;
        gets_high    <= available + 32'd1 >= high & |low;
        has_capacity <= |capacity & capacity <= 32'(number);
    end

    always_comb begin
        is_enabled = 1'b0;
        for (int i = 0; i < POOLS; i++) is_enabled = is_enabled | (enabled[i] & pool == POOL_BITS'(i));
    end

    // ---- registers that are read ---------------------------------------------------------------------------------------
    wire is_empty = is_enabled & ~|count;
    wire is_low   = available < low;
    logic [31:0] word;
    always_comb begin
        case (offset)
            CONTROL:          word = {30'd0, natural, is_enabled};
            STATUS:           word = {28'd0, busy, is_low, is_empty, is_enabled};
            BASE:             word = base_low;
            BASE_HIGH:        word = 32'(base_high);
            END:              word = end_low;
            END_HIGH:         word = 32'(end_high);
            STRIDE:           word = stride;
            CAPACITY:         word = capacity;
            AVAILABLE:        word = available;
            LOW:              word = low;
            HIGH:             word = high;
            EVENT, EVENT_SET: word = {30'd0, event_is};
            EVENT_ENABLE:     word = {30'd0, event_enable};
            VECTOR:           word = {27'd0, vector};
            ERROR, ERROR_SET: word = {26'd0, error};
            ERROR_ADDRESS:    word = error_address[31:0];
            ADDRESS_HIGH:     word = error_address[63:32];
            default:          word = 32'd0;
        endcase
    end
    always_ff @(posedge aclk) answer <= word;

    // ---- what a write of POOL_CONTROL does (SPEC 5) --------------------------------------------------------------------
    wire controls  = writes & offset == CONTROL;
    wire enables   = controls & ~is_enabled & data[0];
    wire disables  = controls & is_enabled & ~data[0];
    wire is_valid  = is_range & has_capacity & ~busy & (is_natural | ~data[1]);
    wire refused   = (enables & ~is_valid) | (disables & used)
                   | (controls & is_enabled & data[0] & data[1] != natural);
    wire enabled_next = enables & is_valid | is_enabled & ~(disables & ~used);
    assign forget = acts & disables & ~used;

    always_ff @(posedge aclk) begin
        for (int i = 0; i < POOLS; i++) begin
            if (clear) enabled[i] <= 1'b0;
            else if (acts & pool == POOL_BITS'(i)) enabled[i] <= enabled_next;
        end
    end

    // A write of a locked word that changes it. What isn't kept doesn't count.
    always_comb begin
        is_locked = 1'b1;
        case (offset)
            BASE:      changes = data != base_low;
            BASE_HIGH: changes = data[TOP-1:0] != base_high;
            END:       changes = data != end_low;
            END_HIGH:  changes = data[TOP-1:0] != end_high;
            STRIDE:    changes = data != stride;
            CAPACITY:  changes = data != capacity;
            default:   {is_locked, changes} = 2'b00;
        endcase
    end
    wire misses = refused | (writes & is_locked & changes & is_enabled);

    // ---- errors (SPEC 4.4) ---------------------------------------------------------------------------------------------
    wire injects = writes & offset == ERROR_SET;
    always_comb begin
        {kinds, source, about} = {6'd0, REGISTER_PATH, 64'd0};
        if (fails) {kinds, about} = {6'd1 << fails_kind, address};
        else if (injects) {kinds, source} = {data[5:0], INJECTED};
        else if (misses) begin
            {kinds, source} = {CONFIG, CONFIGURATION};
            case (offset) // all bits of the write, the other half as it is
                CONTROL:             about = {62'd0, data[1:0]};
                BASE:                about = {32'(base_high), data};
                BASE_HIGH:           about = {data, base_low};
                END:                 about = {32'(end_high), data};
                END_HIGH:            about = {data, end_low};
                default:             about = {32'd0, data};
            endcase
        end
    end
    always_comb begin
        error_next = error | kinds;
        error_address_next = error_address;
        if (writes & offset == ERROR) error_next = error & ~data[5:0];
        if (~|error_next) error_address_next = '0;
        else if (~|error) error_address_next = about;
    end

    // ---- thresholds and events (SPEC 5.2, 8) ---------------------------------------------------------------------------
    wire depletes = pop & armed & is_at_low;
    wire recovers = push & ~armed & gets_high;
    wire [1:0] set = {recovers, depletes} | (writes & offset == EVENT_SET ? data[1:0] : 2'b00);
    wire [1:0] news = writes & offset == EVENT_ENABLE ? data[1:0] & ~event_enable : 2'b00;
    always_comb begin
        armed_next = (armed & ~depletes) | recovers | (enables & is_valid);
        event_next = event_is | set;
        if (writes & offset == EVENT) event_next = event_is & ~data[1:0];
        event_enable_next = writes & offset == EVENT_ENABLE ? data[1:0] : event_enable;
        vector_next = writes & offset == VECTOR ? data[4:0] : vector;
        natural_next = controls & ~(refused & is_enabled) ? data[1] : natural;
    end
    assign raise = |(set & ~event_is & event_enable) | |(news & event_is);

    wire unused = &{unused_capacity, unused_low, unused_high, unused_state, unused_address};
endmodule
