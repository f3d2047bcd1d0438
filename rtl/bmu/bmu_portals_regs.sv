// The registers of the portals (SPEC 4.7, 4.9, 6.1), and what the engine tells: one after the other, so each row has one
// writer. What raises errors or a vector has handed them on before it counts as done.
//
// What comes next is chosen in one cycle, its row and the register are looked at in the next, and it acts in the one after, on
// what was seen: nothing else has changed the row meanwhile. What the engine tells comes first. An access to a portal whose last status line is under way waits for the bus's answer to
// it, so the line and the registers agree for whoever looks at either.
module bmu_portals_regs #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned PORTALS = 4,
    parameter int unsigned RING_MIN_LOG2 = 3,
    parameter int unsigned RING_MAX_LOG2 = 10,
    parameter int unsigned WIDTH = 48
) (
    input  logic             aclk,
    input  logic             clear,
    output logic             swept,         // every row has its reset value
    input  logic             ready,         // the reset is done; until then, registers read 0 and ignore writes (SPEC 9.2)

    input  logic             acc_valid,
    input  logic             acc_page,
    input  logic             acc_write,
    input  logic [5:0]       acc_portal,
    input  logic [11:0]      acc_offset,
    input  logic [31:0]      acc_wdata,
    output logic             acc_done,
    output logic [31:0]      acc_rdata,

    input  logic             post_valid,
    output logic             post_ready,
    input  logic [1:0]       post_what,
    input  logic [3:0]       post_kind,
    input  logic [2:0]       post_source,
    input  logic [63:0]      post_address,
    input  logic             hold,          // accesses to the engine's portal wait

    input  logic [5:0]       engine_portal,
    output logic [1:0]       engine_state,
    output logic [5:0]       engine_pool,
    output logic [4:0]       engine_release_log2,
    output logic [4:0]       engine_acquire_log2,
    output logic [63:0]      engine_release_base,
    output logic [63:0]      engine_acquire_base,
    output logic [63:0]      engine_status_base,
    output logic [31:0]      engine_credits,
    output logic [31:0]      engine_hysteresis,
    output logic [31:0]      engine_bell_release,
    output logic [31:0]      engine_bell_acquire,
    output logic             renews,        // `acc_portal` is enabled
    input  logic [31:0]      release_head,  // of `acc_portal`
    input  logic [31:0]      acquire_tail,

    input  logic [POOLS-1:0] pool_enabled,
    output logic [POOLS-1:0] pool_used,

    output logic             err_valid,
    input  logic             err_ready,
    output logic [3:0]       err_kind,
    output logic [2:0]       err_source,
    output logic [5:0]       err_pool,
    output logic [5:0]       err_portal,
    output logic [63:0]      err_address,

    output logic             raise_valid,
    input  logic             raise_ready,
    output logic [4:0]       raise_vector
);
    localparam logic [1:0] DISABLED = 2'd0, RUNNING = 2'd1, STOPPING = 2'd2, HALTED = 2'd3;
    localparam logic [1:0] POST_EVENT = 2'd0, POST_ERROR = 2'd1, POST_HALT = 2'd2;
    localparam logic [3:0] KIND_DISABLED = 4'd4, KIND_CONFIG = 4'd5;
    localparam logic [2:0] RELEASE_RING = 3'd1, CONFIGURATION = 3'd3, INJECTED = 3'd4;

    // Offsets of SPEC 4.7, bits 7:2.
    localparam logic [5:0] CONTROL = 6'h00, STATUS = 6'h01, POOL = 6'h02, SIZES = 6'h03, HYSTERESIS = 6'h0b,
        EVENT = 6'h0c, EVENT_SET = 6'h0d, EVENT_ENABLE = 6'h0e, VECTOR = 6'h0f, ERROR = 6'h10, ERROR_SET = 6'h11;

    localparam logic [2:0] SWEEP = 3'd0, IDLE = 3'd1, LOOK = 3'd2, ACT = 3'd3, ERRORS = 3'd4, RAISE = 3'd5, DONE = 3'd6;
    logic [2:0] step;
    logic [5:0] sweep; // the row that it is at

    logic       is_post; // what was chosen
    logic [5:0] chosen;  // its row

    logic [1:0]  told_what; // by the engine, a cycle before
    logic [3:0]  told_kind;
    logic [2:0]  told_source;
    logic [63:0] told_address;
    always_ff @(posedge aclk) {told_what, told_kind, told_source, told_address} <= {post_what, post_kind, post_source, post_address};

    wire held     = hold & acc_portal == engine_portal; // an access
    wire posts    = step == ACT & is_post;
    wire accesses = step == ACT & ~is_post & ~held;
    wire exists   = ready & {1'b0, acc_portal} < 7'(PORTALS);
    wire writes   = accesses & acc_write & exists;
    wire sets     = writes & ~acc_page & acc_offset[11:8] == 4'd0 & acc_offset[1:0] == 2'd0;
    wire rings    = writes & acc_page & (acc_offset == 12'd0 | acc_offset == 12'd4); // a doorbell, or a half of it
    wire sweeps   = step == SWEEP;
    wire [5:0] register_ = acc_offset[7:2];
    wire [5:0] row = sweeps ? sweep : chosen;

    // ---- the rows -------------------------------------------------------------------------------

    // What changes beside the locked registers.
    logic       enable, event_, event_enable, new_enable, new_event, new_event_enable;
    logic [1:0] state, new_state;
    logic [4:0] vector, new_vector;
    logic [8:4] errors, new_errors;
    logic [63:0] error_address, new_error_address;
    logic [31:0] bell_release, bell_acquire, new_bell_release, new_bell_acquire;
    logic       changes; // one of them
    // The row itself, a cycle before.
    logic       enable_now, event_now, event_enable_now;
    logic [1:0] state_now;
    logic [4:0] vector_now;
    logic [8:4] errors_now;
    logic [63:0] error_address_now, bells_now;
    always_ff @(posedge aclk) begin
        {errors, vector, event_enable, event_, state, enable} <= {errors_now, vector_now, event_enable_now, event_now, state_now, enable_now};
        error_address <= error_address_now;
        {bell_acquire, bell_release} <= bells_now;
    end

    /* verilator lint_off UNUSEDSIGNAL */
    logic [14:0] seen_by_engine; // of which it wants the state
    /* verilator lint_on UNUSEDSIGNAL */
    bmu_portals_rows #(.ROWS(PORTALS), .BITS(15)) states (
        .aclk, .write(sweeps | changes), .write_row(row),
        .write_bits(sweeps ? '0 : {new_errors, new_vector, new_event_enable, new_event, new_state, new_enable}),
        .a_row(row), .a_bits({errors_now, vector_now, event_enable_now, event_now, state_now, enable_now}),
        .b_row(engine_portal), .b_bits(seen_by_engine)
    );
    assign engine_state = sweeps ? DISABLED : seen_by_engine[2:1];

    /* verilator lint_off PINCONNECTEMPTY */
    bmu_portals_rows #(.ROWS(PORTALS), .BITS(64)) error_addresses (
        .aclk, .write(sweeps | changes), .write_row(row), .write_bits(sweeps ? '0 : new_error_address),
        .a_row(row), .a_bits(error_address_now), .b_row(6'd0), .b_bits()
    );
    /* verilator lint_on PINCONNECTEMPTY */

    bmu_portals_rows #(.ROWS(PORTALS), .BITS(64)) bells (
        .aclk, .write(sweeps | changes), .write_row(row), .write_bits(sweeps ? '0 : {new_bell_acquire, new_bell_release}),
        .a_row(row), .a_bits(bells_now),
        .b_row(engine_portal), .b_bits({engine_bell_acquire, engine_bell_release})
    );

    logic [5:0]  pool;
    logic [4:0]  release_log2, acquire_log2;
    logic [63:0] release_base, acquire_base, status_base;
    logic [31:0] credits, hysteresis;
    logic        valid_now, valid, configures;
    always_ff @(posedge aclk) valid <= valid_now;
    logic [31:0] config_data;

    bmu_portals_config #(.PORTALS(PORTALS)) configuration (
        .aclk, .wipe(sweeps), .write(configures), .row, .register_(register_[3:0]), .data(config_data),
        .pool, .release_log2, .acquire_log2, .release_base, .acquire_base, .status_base, .credits, .hysteresis,
        .engine_row(engine_portal), .engine_pool, .engine_release_log2, .engine_acquire_log2,
        .engine_release_base, .engine_acquire_base, .engine_status_base, .engine_credits, .engine_hysteresis
    );

    bmu_portals_valid #(.POOLS(POOLS), .RING_MIN_LOG2(RING_MIN_LOG2), .RING_MAX_LOG2(RING_MAX_LOG2), .WIDTH(WIDTH)) check (
        .pool_enabled, .pool, .release_log2, .acquire_log2, .release_base, .acquire_base, .status_base, .credits, .hysteresis, .valid(valid_now)
    );

    // ---- what a register reads -----------------------------------------------------------------

    logic [63:0] pair_now, pair; // of registers, or one of 64 bits
    logic [31:0] half;
    always_comb begin
        case (acc_offset[7:3])
            5'h00:   pair_now = {30'd0, state_now, 31'd0, enable_now};
            5'h01:   pair_now = {19'd0, acquire_log2, 3'd0, release_log2, 26'd0, pool};
            5'h02:   pair_now = release_base;
            5'h03:   pair_now = acquire_base;
            5'h04:   pair_now = status_base;
            5'h05:   pair_now = {hysteresis, credits};
            5'h06:   pair_now = {31'd0, event_now, 31'd0, event_now};
            5'h07:   pair_now = {27'd0, vector_now, 31'd0, event_enable_now};
            5'h08:   pair_now = {23'd0, errors_now, 4'd0, 23'd0, errors_now, 4'd0};
            5'h09:   pair_now = error_address_now;
            5'h0a:   pair_now = {acquire_tail, release_head};
            default: pair_now = 64'd0;
        endcase
    end
    always_ff @(posedge aclk) begin
        pair <= pair_now;
        half <= acc_offset[2] ? pair_now[63:32] : pair_now[31:0];
    end
    wire is_word = ~acc_page & acc_offset[11:8] == 4'd0 & acc_offset[1:0] == 2'd0 & exists;

    // ---- what a write and a post do --------------------------------------------------------------

    wire is_locked = register_ >= POOL & register_ <= HYSTERESIS;
    wire is_wide   = register_ >= 6'h04 & register_ <= 6'h09; // 64 bits
    always_comb begin
        case (register_)
            POOL:    config_data = acc_wdata & 32'h0000_003f;
            SIZES:   config_data = acc_wdata & 32'h0000_1f1f;
            default: config_data = acc_wdata;
        endcase
    end
    wire differs    = sets & is_locked & config_data != half;
    assign configures = differs & state == DISABLED;
    // SPEC 4.4: ERR_ADDRESS has all bits of a refused write; 2.1: a half is a write of the whole register.
    wire [63:0] whole = ~is_wide ? {32'd0, acc_wdata} : acc_offset[2] ? {acc_wdata, pair[31:0]} : {pair[63:32], acc_wdata};

    wire turns_on  = sets & register_ == CONTROL & acc_wdata[0] & ~enable;
    wire turns_off = sets & register_ == CONTROL & ~acc_wdata[0];
    assign renews  = turns_on & state == DISABLED & valid;
    wire leaves    = (turns_off & state == HALTED) | (posts & told_what == 2'd3); // the portal becomes disabled

    logic [8:0]  kinds;   // errors that happen
    logic [2:0]  source;
    logic [63:0] address;
    logic        raises;  // the vector

    always_comb begin
        {new_errors, new_vector, new_event_enable, new_event, new_state, new_enable} =
            {errors, vector, event_enable, event_, state, enable};
        new_bell_release = bell_release;
        new_bell_acquire = bell_acquire;
        kinds   = 9'd0;
        source  = CONFIGURATION;
        address = whole;
        raises  = 1'b0;

        if (renews) begin
            new_enable = 1'b1;
            new_state  = RUNNING;
            new_bell_release = 32'd0;
            new_bell_acquire = 32'd0;
        end
        if (turns_off) begin
            new_enable = 1'b0;
            if (state == RUNNING) new_state = STOPPING;
        end
        if (leaves) new_state = DISABLED;
        if ((turns_on & ~renews) | (differs & ~configures)) kinds[KIND_CONFIG] = 1'b1;

        if (rings) begin
            source  = RELEASE_RING;
            address = acc_offset[2] ? {acc_wdata, bell_release} : {bell_acquire, acc_wdata};
            if (state == RUNNING) {new_bell_acquire, new_bell_release} = address;
            if (state == DISABLED | state == STOPPING) kinds[KIND_DISABLED] = 1'b1;
        end

        if (sets) begin
            case (register_)
                EVENT:     new_event = event_ & ~acc_wdata[0];
                EVENT_SET: new_event = event_ | acc_wdata[0];
                EVENT_ENABLE: begin
                    new_event_enable = acc_wdata[0];
                    raises = acc_wdata[0] & ~event_enable & event_; // SPEC 8
                end
                VECTOR: new_vector = acc_wdata[4:0];
                ERROR:  new_errors = errors & ~acc_wdata[8:4];
                ERROR_SET: begin
                    kinds[8:4] = acc_wdata[8:4];
                    source     = INJECTED;
                    address    = 64'd0;
                end
                default: ;
            endcase
        end

        if (posts) begin
            source  = told_source;
            address = told_address;
            if (told_what == POST_EVENT) new_event = 1'b1;
            if (told_what == POST_ERROR | told_what == POST_HALT) kinds[told_kind] = 1'b1;
            if (told_what == POST_HALT) new_state = HALTED;
        end

        if (new_event & ~event_ & event_enable) raises = 1'b1;
        new_errors = new_errors | kinds[8:4];
        if (new_errors == 5'd0) new_error_address = 64'd0;
        else if (errors == 5'd0) new_error_address = address;
        else new_error_address = error_address;
    end
    assign changes = posts | sets | rings;

    // ---- one after the other ---------------------------------------------------------------------

    logic [8:0] left; // errors that are to be handed on
    logic       raises_too;
    logic [3:0] lowest;
    always_comb begin
        lowest = 4'd0;
        for (int k = 8; k >= 0; k--) if (left[k]) lowest = 4'(k);
    end

    assign swept       = ~sweeps;
    assign err_valid   = step == ERRORS;
    assign err_kind    = lowest;
    assign raise_valid = step == RAISE;
    assign acc_done    = step == DONE & ~is_post;
    assign post_ready  = step == DONE & is_post;

    wire last_error = (left & (left - 9'd1)) == 9'd0;

    always_ff @(posedge aclk) begin
        if (clear) begin
            step  <= SWEEP;
            sweep <= 6'd0;
        end else begin
            case (step)
                SWEEP: begin
                    sweep <= sweep + 6'd1;
                    if (sweep == 6'(PORTALS - 1)) step <= IDLE;
                end
                IDLE: if (post_valid | (acc_valid & ~held)) step <= LOOK;
                LOOK: step <= ACT;
                ACT:  step <= ~(posts | accesses) ? IDLE : kinds != 9'd0 ? ERRORS : raises ? RAISE : DONE;
                ERRORS: if (err_ready) begin
                    left[lowest] <= 1'b0;
                    if (last_error) step <= raises_too ? RAISE : DONE;
                end
                RAISE: if (raise_ready) step <= DONE;
                default: step <= IDLE;
            endcase
        end
        if (step == ACT) left <= kinds;
    end

    always_ff @(posedge aclk) begin
        if (step == IDLE) begin
            is_post <= post_valid;
            chosen  <= post_valid ? engine_portal : acc_portal;
        end
        if (step == ACT) begin
            acc_rdata    <= is_word & ~acc_write ? half : 32'd0;
            raises_too   <= raises;
            raise_vector <= vector;
            err_source   <= source;
            err_pool     <= pool;
            err_portal   <= row;
            err_address  <= address;
        end
    end

    // Portals that name a pool and are not disabled (SPEC 5).
    for (genvar p = 0; p < POOLS; p++) begin : g_users
        logic [6:0] users;
        assign pool_used[p] = users != 7'd0;
        always_ff @(posedge aclk) begin
            if (clear) users <= 7'd0;
            else if (pool == 6'(p)) begin
                if (renews) users <= users + 7'd1;
                else if (leaves) users <= users - 7'd1;
            end
        end
    end
    wire unused = &{STATUS};
endmodule
