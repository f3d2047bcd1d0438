// Serves the portals in turn, one visit after another (SPEC 6.1, 6.4 to 6.7, 9.1).
//
// A visit looks at the doorbell, consumes release entries, fills the acquire ring, writes the status line if a rule asks for
// it, then tells of what happened, in this order: so whatever is told is in memory before it (SPEC 7). What a portal has come
// to is in working registers during its visit, as its locked registers and the doorbell are, and in a row of memory between two.
module bmu_portals_engine #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned PORTALS = 4,
    // Entries each way in one visit at most, 1 to 64, so that no portal makes the others wait for a whole ring.
    parameter int unsigned SHARE = 64
) (
    input  logic                aclk,
    input  logic                aresetn,
    input  logic                clear,
    input  logic                bus_master,
    input  logic                serves,         // CONTROL.ENABLE and not QUIESCE
    output logic                visits,         // a visit is under way
    output logic                idle,           // none of its DMA is

    input  logic [POOLS*32-1:0] pool_available,

    // The portal that is looked at or visited, and what its registers say.
    output logic [5:0]          portal,
    input  logic [1:0]          state,
    input  logic [5:0]          pool_is,
    input  logic [4:0]          release_log2_is,
    input  logic [4:0]          acquire_log2_is,
    input  logic [63:0]         release_base_is,
    input  logic [63:0]         acquire_base_is,
    input  logic [63:0]         status_base_is,
    input  logic [31:0]         credits_is,
    input  logic [31:0]         hysteresis_is,
    input  logic [31:0]         bell_release_is, // the last doorbell
    input  logic [31:0]         bell_acquire_is,
    output logic [5:0]          pool,           // that it serves

    input  logic                renews,         // a portal is enabled: its counts are 0
    input  logic [5:0]          renewed,
    input  logic [5:0]          asked_portal,   // counts for a register's read
    output logic [31:0]         asked_head,
    output logic [31:0]         asked_tail,

    // What happened, one after the other.
    output logic                post_valid,
    input  logic                post_ready,
    output logic [1:0]          post_what,
    output logic [3:0]          post_kind,
    output logic [2:0]          post_source,
    output logic [63:0]         post_address,
    output logic                hold,           // the last line of this life is under way: its registers agree with it after that

    output logic                req_valid,
    input  logic                req_ready,
    output logic [1:0]          req_op,
    output logic [63:0]         req_addr,
    input  logic                rsp_valid,
    input  logic [63:0]         rsp_addr,
    input  logic                rsp_error,
    input  logic [3:0]          rsp_kind,

    output logic [63:0]         m_axi_awaddr,
    output logic [7:0]          m_axi_awlen,
    output logic                m_axi_awvalid,
    input  logic                m_axi_awready,
    output logic [63:0]         m_axi_wdata,
    output logic [7:0]          m_axi_wstrb,
    output logic                m_axi_wlast,
    output logic                m_axi_wvalid,
    input  logic                m_axi_wready,
    input  logic [1:0]          m_axi_bresp,
    input  logic                m_axi_bvalid,
    output logic                m_axi_bready,
    output logic [63:0]         m_axi_araddr,
    output logic [7:0]          m_axi_arlen,
    output logic                m_axi_arvalid,
    input  logic                m_axi_arready,
    input  logic [63:0]         m_axi_rdata,
    input  logic [1:0]          m_axi_rresp,
    input  logic                m_axi_rlast,
    input  logic                m_axi_rvalid,
    output logic                m_axi_rready
);
    localparam logic [1:0] RUNNING = 2'd1, STOPPING = 2'd2;
    localparam logic [1:0] POST_EVENT = 2'd0, POST_ERROR = 2'd1, POST_HALT = 2'd2, POST_STOP = 2'd3;
    localparam logic [3:0] DMA_FAULT = 4'd6, BAD_DOORBELL = 4'd7, STALE_ENTRY = 4'd8;
    localparam logic [2:0] RELEASE_RING = 3'd1, ACQUIRE_SIDE = 3'd2;
    localparam logic [1:0] TAKE = 2'd0, FREE = 2'd1, GIVE_BACK = 2'd2;

    // Steps of a visit.
    localparam logic [3:0] LOOK = 4'd0, COUNT = 4'd1, CHECK = 4'd2, DECIDE = 4'd3, RELEASE = 4'd4, FILL = 4'd5, FILLS = 4'd6,
        JUDGE = 4'd7, LINE = 4'd8, LINES = 4'd9, TELL = 4'd10, SAVE = 4'd11, END = 4'd12;
    logic [3:0] step;

    // ---- what a portal has come to ----------------------------------------------------------

    logic [31:0] release_head, acquire_tail, acquire_head; // SPEC 6.4
    logic [31:0] told_release, told_acquire;               // release_head and acquire_head in the last status line
    logic [63:0] sequence_;                                // status lines written
    logic        dry;                                      // the last attempt to fill found the list empty
    logic        due;                                      // a doorbell was acted on, and no line judged since
    logic        started;                                  // the first line is written

    localparam int unsigned ROW = 227;
    localparam int unsigned INDEX = PORTALS > 1 ? $clog2(PORTALS) : 1;
    logic [ROW-1:0]      row;
    /* verilator lint_off UNUSEDSIGNAL */
    logic [ROW-1:0]      asked_row; // of which a register shows two counts
    /* verilator lint_on UNUSEDSIGNAL */
    logic [2**INDEX-1:0] fresh; // the row is of an earlier life, and stands for zeros

    wire is_asked = visits & portal == asked_portal;
    bmu_portals_rows #(.ROWS(PORTALS), .BITS(ROW)) counts (
        .aclk, .write(step == SAVE), .write_row(portal),
        .write_bits({started, due, dry, sequence_, told_acquire, told_release, acquire_head, acquire_tail, release_head}),
        .a_row(portal), .a_bits(row), .b_row(asked_portal), .b_bits(asked_row)
    );
    wire asked_fresh = fresh[asked_portal[INDEX-1:0]];
    assign asked_head = is_asked ? release_head : asked_fresh ? 32'd0 : asked_row[31:0];
    assign asked_tail = is_asked ? acquire_tail : asked_fresh ? 32'd0 : asked_row[63:32];

    // ---- what there is to do ----------------------------------------------------------------

    logic [4:0]  written;  // entries, in this cycle
    logic        stops;    // this visit began when the host had ended it, so the doorbell is the last one
    logic        acted;    // all of the doorbell that this visit looks at is acted on, as far as reads were not ended
    logic        complete; // the ring is filled as far as credits and the list allow
    logic        short_;   // the list was found empty in this visit
    logic        event_;   // AVAILABLE happened in this visit
    logic        halts;
    logic        wrote;    // the line of this visit
    logic [31:0] target;   // release entries that this visit consumes
    logic [3:0]  fault_kind;
    logic [2:0]  fault_source;
    logic [63:0] fault_address;
    logic [63:0] line_available;

    logic [31:0] available;
    always_comb begin
        available = 32'd0;
        for (int p = 0; p < POOLS; p++)
            if (pool == 6'(p)) available = pool_available[p*32 +: 32];
    end

    // LOOK: what the portal's registers say.
    logic [4:0]  release_log2, acquire_log2;
    logic [63:0] release_base, acquire_base, status_base;
    logic [31:0] credits, hysteresis, bell_release, bell_acquire;
    // COUNT: how far the doorbell is from what the portal has come to.
    logic [31:0] announced, held_by_host, taken; // entries to be consumed, those in the host's hands, and those that it has taken since
    logic [31:0] drift_acquire, drift_release;   // since the last status line, with this doorbell; the latter follows release_head
    // CHECK: what that means.
    logic [31:0] room;                           // entries that may be written
    logic        has_room, has_buffers, moved, bad_release, bad_acquire, too_many, drifted;

    wire [31:0] release_entries = 32'd1 << release_log2;
    wire        lives     = state == RUNNING | state == STOPPING;
    wire        runs      = state == RUNNING;
    wire        first     = runs & ~started; // SPEC 6.5 (c): it fills, then writes a line, then looks at the doorbell
    wire        wants     = serves & (state == STOPPING | (runs & (~started | due | moved | (has_room & has_buffers))));
    wire        is_bad    = bad_release | bad_acquire;
    wire        acts      = wants & ~first & ~is_bad; // on the doorbell

    always_ff @(posedge aclk) begin
        if (step == LOOK) begin
            {pool, release_log2, acquire_log2} <= {pool_is, release_log2_is, acquire_log2_is};
            {release_base, acquire_base, status_base} <= {release_base_is, acquire_base_is, status_base_is};
            {credits, hysteresis} <= {credits_is, hysteresis_is};
            {bell_acquire, bell_release} <= {bell_acquire_is, bell_release_is};
        end
        if (step == COUNT) begin
            announced     <= bell_release - release_head;
            held_by_host  <= acquire_tail - acquire_head;
            taken         <= bell_acquire - acquire_head;
            drift_acquire <= bell_acquire - told_acquire;
        end
        if (step == CHECK) begin
            room        <= credits - held_by_host;
            has_room    <= credits != held_by_host;
            has_buffers <= available != 32'd0;
            moved       <= announced != 32'd0 | taken != 32'd0;
            bad_release <= announced > release_entries;
            bad_acquire <= taken > held_by_host;
            too_many    <= announced > SHARE;
        end else if (step == DECIDE & acts) room <= room + taken;
        else if (step == FILLS) room <= room - {27'd0, written};
        drift_release <= release_head - told_release;
        drifted       <= drift_release >= hysteresis | drift_acquire >= hysteresis;
    end

    // SPEC 6.5: (c) a portal that stops, and one that starts; (a); (b), which within a doorbell does not wait for the fill.
    wire        line_stop = stops & acted & serves;
    wire        line_run  = ~stops & runs & serves
        & (complete ? ~started | (due & acted & short_) | (due & drifted) : due & ~acted & drifted);

    // ---- the two sides ----------------------------------------------------------------------

    logic        consumed, released, stale, read_refused, free_refused, free_told, release_req;
    logic [63:0] release_fault, free_address, release_addr;
    logic [3:0]  free_kind;
    logic        filled, found_dry, aborted, write_refused, acquire_req, acquire_back;
    logic [63:0] acquire_fault, acquire_addr;
    logic        read_start, read_idle, read_word_valid, read_done, read_failed;
    logic [63:0] read_address, read_word;
    logic [4:0]  read_length;
    logic        write_start, write_idle, write_take, write_done, write_failed, entries_start;
    logic [63:0] write_address, write_word, entries_address, entries_word;
    logic [4:0]  write_length, entries_length;

    wire release_start = step == DECIDE & acts & announced != 32'd0;
    wire acquire_start = step == FILL & runs & serves & ~stops & room != 32'd0;
    wire releases = step == RELEASE;

    bmu_portals_release release_side (
        .aclk, .clear, .start(release_start), .go(serves),
        .base(release_base), .log2(release_log2), .head(release_head), .target,
        .consumed, .finished(released), .stale, .refused(read_refused), .fault_address(release_fault),
        .error_valid(free_refused), .error_ready(free_told), .error_kind(free_kind), .error_address(free_address),
        .read_start, .read_address, .read_length, .read_idle, .read_word_valid, .read_word, .read_done, .read_failed,
        .req_valid(release_req), .req_ready(req_ready & releases), .req_addr(release_addr),
        .rsp_valid(rsp_valid & releases), .rsp_error, .rsp_kind
    );

    bmu_portals_acquire acquire_side (
        .aclk, .clear, .start(acquire_start), .go(serves & runs),
        .base(acquire_base), .log2(acquire_log2), .tail(acquire_tail),
        .room(room > SHARE ? 7'(SHARE) : room[6:0]),
        .written, .finished(filled), .dry(found_dry), .aborted, .refused(write_refused), .fault_address(acquire_fault),
        .write_start(entries_start), .write_address(entries_address), .write_length(entries_length),
        .write_idle, .write_take, .write_word(entries_word), .write_done, .write_failed,
        .req_valid(acquire_req), .req_ready(req_ready & ~releases), .req_back(acquire_back), .req_addr(acquire_addr),
        .rsp_valid(rsp_valid & ~releases), .rsp_addr
    );

    assign req_valid = release_req | acquire_req;
    assign req_op    = releases ? FREE : acquire_back ? GIVE_BACK : TAKE;
    assign req_addr  = releases ? release_addr : acquire_addr;

    // ---- the status line (SPEC 6.5) -----------------------------------------------------------

    logic [1:0]  line_word;
    logic [63:0] line;
    wire         lines = step == LINE | step == LINES;
    always_comb begin
        case (line_word)
            2'd0:    line = {acquire_tail, release_head};
            2'd1:    line = {29'd0, stops & ~halts, halts, line_available == 64'd0, acquire_head};
            2'd2:    line = line_available;
            default: line = sequence_ + 64'd1;
        endcase
    end
    assign write_start   = lines ? step == LINE : entries_start;
    assign write_address = lines ? status_base : entries_address;
    assign write_length  = lines ? 5'd4 : entries_length;
    assign write_word    = lines ? line : entries_word;

    bmu_portals_read reads (
        .aclk, .aresetn, .clear, .bus_master, .start(read_start), .address(read_address), .length(read_length),
        .idle(read_idle), .word_valid(read_word_valid), .word(read_word), .done(read_done), .failed(read_failed),
        .m_axi_araddr, .m_axi_arlen, .m_axi_arvalid, .m_axi_arready,
        .m_axi_rdata, .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready
    );
    bmu_portals_write writes (
        .aclk, .aresetn, .clear, .bus_master, .start(write_start), .address(write_address), .length(write_length),
        .idle(write_idle), .take(write_take), .word(write_word), .done(write_done), .failed(write_failed),
        .m_axi_awaddr, .m_axi_awlen, .m_axi_awvalid, .m_axi_awready, .m_axi_wdata, .m_axi_wstrb, .m_axi_wlast,
        .m_axi_wvalid, .m_axi_wready, .m_axi_bresp, .m_axi_bvalid, .m_axi_bready
    );
    assign idle = read_idle & write_idle;

    // ---- what is told ---------------------------------------------------------------------------

    always_comb begin
        post_valid   = 1'b0;
        post_what    = POST_EVENT;
        post_kind    = fault_kind;
        post_source  = fault_source;
        post_address = fault_address;
        case (step)
            RELEASE: begin
                post_valid   = free_refused;
                post_what    = POST_ERROR;
                post_kind    = free_kind;
                post_source  = RELEASE_RING;
                post_address = free_address;
            end
            TELL: post_valid = 1'b1;
            END: begin
                post_valid = 1'b1;
                post_what  = halts ? POST_HALT : POST_STOP;
            end
            default: ;
        endcase
    end
    wire ends = halts | (stops & wrote); // the portal does
    assign free_told = post_ready & releases;
    assign hold = (halts | stops) & (step == LINE | step == LINES | step == TELL | step == SAVE | step == END);
    assign visits = step != LOOK & step != COUNT & step != CHECK & step != DECIDE;

    if (INDEX < 6) begin : g_narrow
        wire unused = &{renewed[5:INDEX]};
    end

    wire [5:0] next_portal = portal == 6'(PORTALS - 1) ? 6'd0 : portal + 6'd1;

    always_ff @(posedge aclk) begin
        if (clear) begin
            step   <= LOOK;
            portal <= 6'd0;
        end else begin
            case (step)
                LOOK:
                    if (lives) step <= COUNT;
                    else portal <= next_portal;
                COUNT: step <= CHECK;
                CHECK: step <= DECIDE;
                DECIDE: begin
                    if (~wants) begin
                        step   <= LOOK;
                        portal <= next_portal;
                    end else if (first) step <= FILL;
                    else if (is_bad) step <= LINE;
                    else step <= announced != 32'd0 ? RELEASE : FILL;
                end
                RELEASE: if (released) step <= stale | read_refused ? LINE : FILL;
                FILL:    step <= acquire_start ? FILLS : JUDGE;
                FILLS:   if (filled) step <= write_refused ? LINE : JUDGE;
                JUDGE:   step <= line_stop | line_run ? LINE : event_ ? TELL : SAVE;
                LINE:    step <= LINES;
                LINES:   if (write_done) step <= event_ ? TELL : SAVE;
                TELL:    if (post_ready) step <= SAVE;
                SAVE: begin
                    step <= ends ? END : LOOK;
                    if (~ends) portal <= next_portal;
                end
                default: begin // END
                    if (post_ready) begin
                        step   <= LOOK;
                        portal <= next_portal;
                    end
                end
            endcase
        end
    end

    always_ff @(posedge aclk) begin
        if (clear) fresh <= '1;
        else begin
            if (step == SAVE) fresh[portal[INDEX-1:0]] <= 1'b0;
            if (renews) fresh[renewed[INDEX-1:0]] <= 1'b1;
        end
    end

    always_ff @(posedge aclk) begin
        case (step)
            LOOK: begin
                stops <= state == STOPPING;
                {started, due, dry, sequence_, told_acquire, told_release, acquire_head, acquire_tail, release_head}
                    <= fresh[portal[INDEX-1:0]] ? '0 : row;
            end
            DECIDE: begin
                acted    <= ~first & ~too_many;
                complete <= 1'b1;
                short_   <= 1'b0;
                event_   <= 1'b0;
                wrote    <= 1'b0;
                target   <= too_many ? release_head + SHARE : bell_release;
                halts    <= ~first & is_bad;
                fault_kind    <= BAD_DOORBELL;
                fault_source  <= bad_release ? RELEASE_RING : ACQUIRE_SIDE;
                fault_address <= {bell_acquire, bell_release};
                line_available <= 64'(available);
                if (acts) begin
                    acquire_head <= bell_acquire;
                    if (moved) due <= 1'b1;
                end
            end
            RELEASE: begin
                if (consumed) release_head <= release_head + 32'd1;
                if (released) begin
                    if (release_head != target) acted <= 1'b0;
                    halts          <= stale | read_refused;
                    fault_kind     <= stale ? STALE_ENTRY : DMA_FAULT;
                    fault_source   <= RELEASE_RING;
                    fault_address  <= release_fault;
                    line_available <= 64'(available);
                end
            end
            FILL: begin
                line_available <= 64'(available);
                complete <= room == 32'd0;
            end
            FILLS: begin
                acquire_tail <= acquire_tail + {27'd0, written};
                if (written != 5'd0 & dry & acquire_tail == acquire_head) event_ <= 1'b1; // SPEC 6.6
                if (filled) begin
                    short_   <= found_dry & ~aborted;
                    complete <= ~aborted & (found_dry | room == 32'd0);
                    if (~aborted & ~write_refused) dry <= found_dry;
                    halts          <= write_refused;
                    fault_kind     <= DMA_FAULT;
                    fault_source   <= ACQUIRE_SIDE;
                    fault_address  <= acquire_fault;
                    // The list as this attempt left it: the line's reader counts on EMPTY when the ring stays short.
                    line_available <= found_dry & ~aborted & ~write_refused ? 64'd0 : 64'(available);
                end
            end
            JUDGE: if (runs & serves & acted & complete) due <= 1'b0;
            LINE: line_word <= 2'd0;
            LINES: begin
                if (write_take) line_word <= line_word + 2'd1;
                if (write_done & ~write_failed) begin
                    wrote        <= 1'b1;
                    started      <= 1'b1;
                    told_release <= release_head;
                    told_acquire <= acquire_head;
                    sequence_    <= sequence_ + 64'd1;
                end else if (write_done & ~halts) begin
                    halts         <= 1'b1;
                    fault_kind    <= DMA_FAULT;
                    fault_source  <= ACQUIRE_SIDE;
                    fault_address <= status_base;
                end
            end
            default: ;
        endcase
    end
endmodule
