// All pools: operations one after another, through two stages of three steps each (SPEC 4.6, 4.8, 5).
//
// The early stage finds the number of the buffer at an address, the late one looks into the list, decides, and changes what is
// to be changed in its last step. So one operation ends in three cycles, and each sees all that the one before it did.
// Registers are read and written by operations too: they have a place in the same order. Two clients take turns: the register
// side, with one operation at a time, and the portals.
module bmu_pools #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned BUFFERS = 1024,
    parameter int unsigned WIDTH = 48,
    localparam int unsigned POOL_BITS = POOLS > 1 ? $clog2(POOLS) : 1,
    localparam int unsigned INDEX_BITS = $clog2(BUFFERS),
    localparam int unsigned COUNT_BITS = INDEX_BITS + 1,
    localparam int unsigned KEPT = WIDTH < 64 ? WIDTH + 1 : 64
) (
    input  logic                aclk,
    input  logic                clear,
    input  logic                enable,         // CONTROL.ENABLE
    output logic                cleared,        // no list is being emptied

    // The register side: held until `done`, with the answer in its cycle.
    input  logic                own_valid,
    input  logic [2:0]          own_op,         // 0 to 2 as below, 3 reads a register, 4 writes one
    input  logic [5:0]          own_pool,
    input  logic [7:0]          own_offset,     // of the register
    input  logic [63:0]         own_value,      // that is written, or the address that is freed
    output logic                own_done,
    output logic [63:0]         own_answer,     // what an allocation gives or a register reads

    // The portals: one answer a request, in order; any number may be under way.
    input  logic                req_valid,
    output logic                req_ready,
    input  logic [1:0]          req_op,         // 0 alloc, 1 free, 2 give back without a check
    input  logic [5:0]          req_pool,
    input  logic [63:0]         req_addr,
    output logic                rsp_valid,
    output logic [63:0]         rsp_addr,       // that an allocation gives; 0: none, or not enabled
    output logic                rsp_error,      // a free was refused
    output logic [3:0]          rsp_kind,

    output logic [POOLS-1:0]    pool_enabled,
    output logic [POOLS*32-1:0] pool_available,
    input  logic [POOLS-1:0]    pool_used,      // a portal that is not disabled names it

    output logic                err_valid,      // errors of the register side, one at a time until `ready`
    input  logic                err_ready,
    output logic [3:0]          err_kind,
    output logic [2:0]          err_source,
    output logic [5:0]          err_pool,
    output logic [63:0]         err_address,

    output logic                raise_valid,    // the vector of a pool
    input  logic                raise_ready,
    output logic [4:0]          raise_vector
);
    localparam logic [2:0] ALLOC = 3'd0, FREE = 3'd1, GIVE_BACK = 3'd2, WRITE = 3'd4;
    localparam logic [2:0] RANGE = 3'd0, ALIGN = 3'd1, DOUBLE_FREE = 3'd2, OVERFLOW = 3'd3, DISABLED = 3'd4;

    function automatic logic [3:0] lowest(input logic [5:0] kinds);
        lowest = '0;
        for (int i = 5; i >= 0; i--) if (kinds[i]) lowest = 4'(i);
    endfunction

    // ---- steps ---------------------------------------------------------------------------------------------------------
    // The last one waits until what an earlier operation has to tell is told.
    logic [1:0] step;
    logic       late_valid, tells;
    wire        acts     = step == 2'd2 & late_valid & ~tells;
    wire        advances = step == 2'd2 & ~(late_valid & tells);

    always_ff @(posedge aclk) begin
        if (clear) step <= 2'd0;
        else if (step != 2'd2) step <= step + 2'd1;
        else if (advances) step <= 2'd0;
    end

    // ---- whose turn it is ----------------------------------------------------------------------------------------------
    logic own_taken; // and is under way
    logic own_is_next;
    wire  own_waits = own_valid & ~own_taken;
    wire  takes_own = own_waits & (own_is_next | ~req_valid);
    assign req_ready = advances & ~clear & ~takes_own;

    always_ff @(posedge aclk) begin
        if (clear) begin
            own_taken   <= 1'b0;
            own_is_next <= 1'b0;
        end else begin
            if (own_done) own_taken <= 1'b0;
            else if (advances & takes_own) own_taken <= 1'b1;
            if (advances & (own_waits | req_valid)) own_is_next <= ~takes_own;
        end
    end

    // ---- the early stage -----------------------------------------------------------------------------------------------
    logic                  early_valid, early_own;
    logic [2:0]            early_op;
    logic [POOL_BITS-1:0]  early_pool;
    logic [7:0]            early_offset;
    logic [63:0]           early_value;
    logic [KEPT-1:0]       early_base, early_past;
    logic [31:0]           early_stride;
    logic [INDEX_BITS:0]   number;
    logic [4:0]            shift;
    logic                  outside, rest, is_range, natural;

    always_ff @(posedge aclk) begin
        if (clear) early_valid <= 1'b0;
        else if (advances) early_valid <= takes_own | req_valid;
        if (advances) begin
            early_own    <= takes_own;
            early_op     <= takes_own ? own_op : {1'b0, req_op};
            early_pool   <= takes_own ? own_pool[POOL_BITS-1:0] : req_pool[POOL_BITS-1:0];
            early_offset <= own_offset;
            early_value  <= takes_own ? own_value : req_addr;
        end
    end

    bmu_number #(.BUFFERS(BUFFERS), .WIDTH(WIDTH)) numbers (
        .aclk, .step, .of_range(early_op == WRITE), .address(early_value),
        .base(early_base), .past(early_past), .stride(early_stride),
        .number, .shift, .outside, .rest, .is_range, .natural
    );

    // ---- the late stage ------------------------------------------------------------------------------------------------
    logic                  late_own;
    logic [2:0]            late_op;
    logic [POOL_BITS-1:0]  late_pool;
    logic [7:0]            late_offset;
    logic [63:0]           late_value;
    logic [INDEX_BITS:0]   late_number;
    logic [4:0]            late_shift;
    logic                  late_outside, late_rest, late_is_range, late_natural;

    always_ff @(posedge aclk) begin
        if (clear) late_valid <= 1'b0;
        else if (advances) late_valid <= early_valid;
        if (advances) begin
            late_own      <= early_own;
            late_op       <= early_op;
            late_pool     <= early_pool;
            late_offset   <= early_offset;
            late_value    <= early_value;
            late_number   <= number;
            late_shift    <= shift;
            late_outside  <= outside;
            late_rest     <= rest;
            late_is_range <= is_range;
            late_natural  <= natural;
        end
    end

    logic                        is_enabled, is_full, aligns, is_in, forget, raise, wiping;
    logic [KEPT-1:0]             base;
    logic [INDEX_BITS-1:0]       top;
    logic [COUNT_BITS-1:0]       count, count_more;
    logic [POOLS*COUNT_BITS-1:0] counts;
    logic [POOLS-1:0]            busy;
    logic [POOL_BITS-1:0]        wipe_pool;
    logic [31:0]                 word;
    logic [5:0]                  kinds;
    logic [2:0]                  source;
    logic [63:0]                 about;
    logic [4:0]                  vector;

    // A portal asks for nothing while it isn't served (SPEC 4.3), so what it asked for before that is done.
    wire is_served = enable | ~late_own;

    // SPEC 4.4: the first check that fails is the one reported.
    // Step 1 makes all but those that look into the list.
    logic       frees, returns, takes; // what the operation may do then
    logic [2:0] known;                 // why it is refused before
    logic       is_known;
    always_ff @(posedge aclk) begin
        is_known <= 1'b1;
        if (~is_served | ~is_enabled) known <= DISABLED;
        else if (late_outside) known <= RANGE;
        else if (late_rest & ~aligns) known <= ALIGN;
        else is_known <= 1'b0;
        frees <= late_op == FREE;
        // A buffer that a portal gives back comes from this pool, whatever CONTROL.ENABLE and the capacity are by now. Even so
        // nothing gets into the list that would make it unsound.
        returns <= late_op == GIVE_BACK & is_enabled & ~late_outside;
        takes   <= late_op == ALLOC & is_served & is_enabled & |count;
    end
    logic [2:0] kind;
    logic       refused;
    always_comb begin
        refused = 1'b1;
        if (is_known) kind = known;
        else if (is_in) kind = DOUBLE_FREE;
        else if (is_full) kind = OVERFLOW;
        else {kind, refused} = {RANGE, 1'b0};
    end
    wire push  = acts & ((frees & ~refused) | (returns & ~is_in));
    wire pop   = acts & takes;
    wire fails = frees & refused;
    wire [5:0] fails_kinds = fails ? 6'd1 << kind : '0;

    bmu_pool_regs #(.POOLS(POOLS), .BUFFERS(BUFFERS), .WIDTH(WIDTH)) regs (
        .aclk, .clear, .wiping, .wipe_pool,
        .early_pool, .early_base, .early_past, .early_stride,
        .pool(late_pool), .acts, .frees(late_op == FREE), .writes(late_op == WRITE), .offset(late_offset), .data(late_value[31:0]),
        .is_range(late_is_range), .is_natural(late_natural), .number(late_number),
        .used(|(pool_used & POOLS'(64'd1 << late_pool))), .busy(|(busy & POOLS'(64'd1 << late_pool))),
        .count, .count_more, .push, .pop, .fails(fails_kinds), .address(late_value),
        .answer(word), .enabled(pool_enabled), .is_enabled, .is_full, .aligns, .base, .forget,
        .kinds, .source, .about, .raise, .vector
    );

    bmu_list #(.POOLS(POOLS), .BUFFERS(BUFFERS)) list (
        .aclk, .clear, .pool(late_pool), .index(late_number[INDEX_BITS-1:0]), .look(step == 2'd0),
        .gives(late_op == ALLOC), .spare(step == 2'd1 | (step == 2'd2 & ~late_valid)),
        .is_in, .top, .count, .count_more, .push, .pop, .forget,
        .counts, .busy, .wiping, .wipe_pool, .cleared
    );

    always_comb begin
        for (int i = 0; i < POOLS; i++) pool_available[32*i +: 32] = 32'(counts[i*COUNT_BITS +: COUNT_BITS]);
    end

    // ---- what is told --------------------------------------------------------------------------------------------------
    // Errors of a portal's frees are told by the portal, which knows the ring.
    logic [5:0] untold;
    assign tells       = raise_valid | err_valid;
    assign err_valid   = |untold;
    assign err_kind    = lowest(untold);
    assign err_address = about;

    always_ff @(posedge aclk) begin
        if (clear) begin
            untold      <= '0;
            raise_valid <= 1'b0;
        end else if (acts) begin
            untold      <= late_own ? kinds : 6'd0;
            raise_valid <= raise;
        end else begin
            if (err_ready) untold <= untold & (untold - 6'd1);
            if (raise_ready) raise_valid <= 1'b0;
        end
        if (acts) begin
            err_source   <= source;
            err_pool     <= 6'(late_pool);
            raise_vector <= vector;
        end
    end

    // ---- the answer ----------------------------------------------------------------------------------------------------
    // The address of what was popped takes two cycles more.
    logic                  acted, shifted, acted_own, shifted_own, gives, shifted_gives, reads, shifted_reads;
    logic                  acted_fails, shifted_fails;
    logic [2:0]            acted_kind, shifted_kind;
    logic [INDEX_BITS-1:0] popped;
    logic [4:0]            popped_shift;
    logic [KEPT-1:0]       popped_base, above, shifted_base;
    logic [31:0]           acted_word, shifted_word;
    logic [63:0]           given;
    logic                  own_answered;

    wire [KEPT-1:0] address = shifted_base + above;

    always_ff @(posedge aclk) begin
        if (clear) {acted, shifted, rsp_valid, own_answered} <= '0;
        else begin
            acted     <= acts;
            shifted   <= acted;
            rsp_valid <= shifted & ~shifted_own;
            own_answered <= (own_answered & ~own_done) | (shifted & shifted_own);
        end
        if (acts) begin
            acted_own    <= late_own;
            gives        <= pop;
            reads        <= late_op > GIVE_BACK;
            acted_fails  <= fails;
            acted_kind   <= kind;
            popped       <= top;
            popped_shift <= late_shift;
            popped_base  <= base;
            acted_word   <= word;
        end
        above         <= KEPT'({popped, 6'd0}) << popped_shift;
        shifted_own   <= acted_own;
        shifted_gives <= gives;
        shifted_reads <= reads;
        shifted_fails <= acted_fails;
        shifted_kind  <= acted_kind;
        shifted_base  <= popped_base;
        shifted_word  <= acted_word;
        if (shifted) begin
            given     <= shifted_gives ? 64'(address) : shifted_reads ? {32'd0, shifted_word} : 64'd0;
            rsp_error <= shifted_fails;
            rsp_kind  <= {1'b0, shifted_kind};
        end
    end
    assign rsp_addr   = given;
    assign own_answer = given;
    // Not before all that it brought is told, so that whoever has the answer sees that too.
    assign own_done   = own_answered & ~tells;

    wire unused = &{own_pool, req_pool};
endmodule
