// The registers of all pools, which writes of them are refused, and events and errors of each (SPEC 4.6, 5, 5.2).
//
// What is kept for a pool lies in small memories that all pools share: one operation at a time looks at its pool's words, and
// `acts` in its last step, 2. Step 0 picks a word, step 1 compares, so that little is left to be decided in step 2; what an
// operation leaves of events and errors is written in the cycle after, which is step 0 of the next one.
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
    input  logic                  frees,      // it is the free of `address`,
    input  logic                  writes,     // or a write of the register at `offset`
    input  logic [7:0]            offset,
    input  logic [31:0]           data,
    input  logic                  is_range,   // what bmu_number found in POOL_BASE, POOL_END and POOL_STRIDE
    input  logic                  is_natural,
    input  logic [COUNT_BITS-1:0] number,     // of buffers in the range
    input  logic                  used,       // a portal names the pool
    input  logic                  busy,       // its list is being emptied
    input  logic [COUNT_BITS-1:0] count,      // POOL_AVAILABLE, from step 1 on
    input  logic [COUNT_BITS-1:0] count_more, // and one more
    input  logic                  push,       // the operation changes the list
    input  logic                  pop,
    input  logic [5:0]            fails,      // why the free is refused: one kind, or none
    input  logic [63:0]           address,

    output logic [31:0]           answer,     // what a read of the register gives, in step 2
    output logic [POOLS-1:0]      enabled,    // of each pool
    output logic                  is_enabled, // of this one, from step 1 on
    output logic                  is_full,    // in step 2
    output logic                  aligns,     // NATURAL_ALIGN, from step 1 on
    output logic [KEPT-1:0]       base,
    output logic                  forget,     // the write disables the pool

    output logic [5:0]            kinds,      // errors that the operation has: for the device's registers
    output logic [2:0]            source,
    output logic [63:0]           about,      // in the cycle after, until the next operation acts
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
    wire [31:0]     kept = wiping ? 32'd0 : data;
    wire [POOL_BITS-1:0] kept_pool = wiping ? wipe_pool : pool;

    wire [7:0] at = {offset[7:2], 2'b00}; // only whole words are asked for

    // Words that lock come first. SPEC 4.6: they are kept while the pool is disabled.
    localparam int unsigned WORDS = 8, LOCKED = 6;
    localparam logic [WORDS*8-1:0] PLACES = {HIGH, LOW, CAPACITY, STRIDE, END_HIGH, END, BASE_HIGH, BASE};
    logic [WORDS-1:0] is_at, keeps;
    always_comb for (int i = 0; i < WORDS; i++) is_at[i] = at == PLACES[8*i +: 8];
    wire is_locked = |is_at[LOCKED-1:0];
    always_ff @(posedge aclk) begin
        for (int i = 0; i < WORDS; i++) keeps[i] <= writes & is_at[i] & ~(i < LOCKED & is_enabled);
    end

    wire [WORDS-1:0] written = {WORDS{wiping}} | ({WORDS{acts}} & keeps);

    bmu_words #(.POOLS(POOLS)) base_lows (
        .aclk, .write(written[0]), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(early_base_low), .second_pool(pool), .second(base_low)
    );
    bmu_words #(.POOLS(POOLS), .BITS(TOP)) base_highs (
        .aclk, .write(written[1]), .write_pool(kept_pool), .data(kept[TOP-1:0]),
        .first_pool(early_pool), .first(early_base_high), .second_pool(pool), .second(base_high)
    );
    bmu_words #(.POOLS(POOLS)) end_lows (
        .aclk, .write(written[2]), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(early_end_low), .second_pool(pool), .second(end_low)
    );
    bmu_words #(.POOLS(POOLS), .BITS(TOP)) end_highs (
        .aclk, .write(written[3]), .write_pool(kept_pool), .data(kept[TOP-1:0]),
        .first_pool(early_pool), .first(early_end_high), .second_pool(pool), .second(end_high)
    );
    bmu_words #(.POOLS(POOLS)) strides (
        .aclk, .write(written[4]), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(early_stride), .second_pool(pool), .second(stride)
    );
    logic [31:0] unused_capacity, unused_low, unused_high;
    bmu_words #(.POOLS(POOLS)) capacities (
        .aclk, .write(written[5]), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(unused_capacity), .second_pool(pool), .second(capacity)
    );
    bmu_words #(.POOLS(POOLS)) lows (
        .aclk, .write(written[6]), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(unused_low), .second_pool(pool), .second(low)
    );
    bmu_words #(.POOLS(POOLS)) highs (
        .aclk, .write(written[7]), .write_pool(kept_pool), .data(kept),
        .first_pool(early_pool), .first(unused_high), .second_pool(pool), .second(high)
    );
    assign early_base = {early_base_high, early_base_low};
    assign early_past = {early_end_high, early_end_low};
    assign base       = {base_high, base_low};

    // ---- what is written once an operation -----------------------------------------------------------------------------
    localparam int unsigned STATE = 17;
    logic                 acted, fills, empties; // POOL_ERROR_ADDRESS is filled, or becomes 0
    logic [POOL_BITS-1:0] acted_pool;
    logic [STATE-1:0]     state, state_next, state_written; // as it is, is to be, and is written
    logic [STATE-1:0]     unused_state;
    logic [63:0]          error_address, unused_address;
    wire  [POOL_BITS-1:0] told_pool = wiping ? wipe_pool : acted_pool;

    bmu_words #(.POOLS(POOLS), .BITS(STATE)) states (
        .aclk, .write(wiping | acted), .write_pool(told_pool), .data(wiping ? '0 : state_written),
        .first_pool(early_pool), .first(unused_state), .second_pool(pool), .second(state)
    );
    bmu_words #(.POOLS(POOLS), .BITS(64)) error_addresses (
        .aclk, .write(wiping | (acted & (fills | empties))), .write_pool(told_pool), .data(wiping | empties ? '0 : about),
        .first_pool(early_pool), .first(unused_address), .second_pool(pool), .second(error_address)
    );

    // In step 2 all this is as step 1 found it.
    logic       natural, armed, armed_next, natural_next;
    logic [1:0] event_is, event_next, event_enable, event_enable_next;
    logic [4:0] vector_next;
    logic [5:0] error, error_next;
    always_ff @(posedge aclk) begin
        {natural, armed, event_is, event_enable, vector, error} <= state;
        acted <= acts;
        if (acts) begin
            acted_pool    <= pool;
            state_written <= state_next;
            fills         <= ~|error;
            empties       <= ~|error_next;
            about         <= about_next;
        end
    end
    assign state_next = {natural_next, armed_next, event_next, event_enable_next, vector_next, error_next};
    assign aligns = state[STATE-1];

    // ---- comparisons, in step 1 ----------------------------------------------------------------------------------------
    logic has_capacity, is_at_low, gets_high, is_low;
    wire [31:0] available = 32'(count);
    always_ff @(posedge aclk) begin
        is_full      <= available >= capacity;
        is_low       <= available < low;
        is_at_low    <= available == low & |low;
        gets_high    <= 32'(count_more) >= high & |low;
        has_capacity <= |capacity & capacity <= 32'(number);
    end

    // What step 0 found.
    logic [31:0] is_word, other; // at `offset`, and the other half of it
    always_ff @(posedge aclk) begin
        is_enabled <= |(enabled & POOLS'(64'd1 << pool));
        case (at)
            BASE_HIGH: is_word <= 32'(base_high);
            END:       is_word <= end_low;
            END_HIGH:  is_word <= 32'(end_high);
            STRIDE:    is_word <= stride;
            CAPACITY:  is_word <= capacity;
            LOW:       is_word <= low;
            HIGH:      is_word <= high;
            default:   is_word <= base_low;
        endcase
        case (at)
            BASE:      other <= 32'(base_high);
            BASE_HIGH: other <= base_low;
            END:       other <= 32'(end_high);
            END_HIGH:  other <= end_low;
            default:   other <= '0;
        endcase
    end

    // ---- registers that are read ---------------------------------------------------------------------------------------
    wire is_empty = is_enabled & ~|count;
    always_comb begin
        case (at)
            CONTROL:          answer = {30'd0, natural, is_enabled};
            STATUS:           answer = {28'd0, busy, is_low, is_empty, is_enabled};
            AVAILABLE:        answer = available;
            EVENT, EVENT_SET: answer = {30'd0, event_is};
            EVENT_ENABLE:     answer = {30'd0, event_enable};
            VECTOR:           answer = {27'd0, vector};
            ERROR, ERROR_SET: answer = {26'd0, error};
            ERROR_ADDRESS:    answer = error_address[31:0];
            ADDRESS_HIGH:     answer = error_address[63:32];
            default:          answer = |is_at ? is_word : 32'd0;
        endcase
    end

    // ---- what a write of POOL_CONTROL does (SPEC 5) --------------------------------------------------------------------
    wire controls = writes & at == CONTROL;
    wire stays_on = controls & is_enabled & data[0] & data[1] != aligns;
    wire disables = controls & is_enabled & ~data[0];
    logic enables, forgets, may_enable, refused; // the last but for what an enable asks for
    always_ff @(posedge aclk) begin
        enables    <= controls & ~is_enabled & data[0];
        forgets    <= disables & ~used;
        may_enable <= is_range & ~busy & (is_natural | ~data[1]);
        refused    <= (disables & used) | stays_on;
    end
    wire is_valid = may_enable & has_capacity;
    assign forget = acts & forgets;

    always_ff @(posedge aclk) begin
        for (int i = 0; i < POOLS; i++) begin
            if (clear) enabled[i] <= 1'b0;
            else if (acts & pool == POOL_BITS'(i)) enabled[i] <= (enables & is_valid) | (is_enabled & ~forgets);
        end
    end

    // A write of a locked word that changes it. What isn't kept doesn't count.
    logic locks, changes;
    wire [31:0] counts = is_at[1] | is_at[3] ? 32'((33'd1 << TOP) - 33'd1) : '1;
    always_ff @(posedge aclk) begin
        locks   <= writes & is_locked & is_enabled;
        changes <= |((data ^ is_word) & counts);
    end
    wire misses = refused | (enables & ~is_valid) | (locks & changes);

    // ---- errors (SPEC 4.4) ---------------------------------------------------------------------------------------------
    logic [5:0]  injected, cleared;
    logic [63:0] about_next;
    always_ff @(posedge aclk) begin
        injected <= writes & at == ERROR_SET ? data[5:0] : '0;
        cleared  <= writes & at == ERROR ? data[5:0] : '0;
        if (frees) about_next <= address;
        else if (at == ERROR_SET) about_next <= '0;
        else if (at == CONTROL) about_next <= {62'd0, data[1:0]};
        else about_next <= is_at[1] | is_at[3] ? {data, other} : {other, data}; // all bits of the write, the other half as it is
    end
    assign kinds  = fails | injected | (misses ? CONFIG : '0);
    assign source = frees ? REGISTER_PATH : |injected ? INJECTED : CONFIGURATION;
    assign error_next = (error | kinds) & ~cleared;

    // ---- thresholds and events (SPEC 5.2, 8) ---------------------------------------------------------------------------
    logic [1:0] event_set, event_cleared, news;
    logic       sets_enable, sets_vector, sets_natural;
    always_ff @(posedge aclk) begin
        event_set     <= writes & at == EVENT_SET ? data[1:0] : '0;
        event_cleared <= writes & at == EVENT ? data[1:0] : '0;
        sets_enable   <= writes & at == EVENT_ENABLE;
        sets_vector   <= writes & at == VECTOR;
        sets_natural  <= controls & ~(is_enabled & (data[0] | used));
    end
    assign news = sets_enable ? data[1:0] & ~event_enable : '0;
    wire depletes = pop & armed & is_at_low;
    wire recovers = push & ~armed & gets_high;
    wire [1:0] set = {recovers, depletes} | event_set;
    always_comb begin
        armed_next        = (armed & ~depletes) | recovers | (enables & is_valid);
        event_next        = (event_is | set) & ~event_cleared;
        event_enable_next = sets_enable ? data[1:0] : event_enable;
        vector_next       = sets_vector ? data[4:0] : vector;
        natural_next      = sets_natural ? data[1] : natural;
    end
    assign raise = |(set & ~event_is & event_enable) | |(news & event_is);

    wire unused = &{unused_capacity, unused_low, unused_high, offset[1:0], unused_state, unused_address};
endmodule
