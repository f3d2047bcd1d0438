// The engine: for any registers that change as SPEC 6.1 lets them, any bus, any list, any resets, and QUIESCE at any time.
//
// It keeps what the proofs of its parts take for granted: a burst begins while none is under way, a side begins at rest, with
// what it was promised. And it touches no memory for a portal that does not live, nor while the device may not.
module bmu_portals_engine_proof (
    input logic        aclk, aresetn, clear, bus_master, enable, quiesce,
    input logic        host_acts, host_portal, host_enables, host_rings, // an access to a portal's registers
    input logic [31:0] host_bell_release, host_bell_acquire,
    input logic [4:0]  host_release_log2, host_acquire_log2,
    input logic [31:0] host_credits, host_hysteresis,
    input logic [31:0] pool_available,
    input logic        post_ready, req_ready, rsp_valid, rsp_error,
    input logic [63:0] rsp_addr, rdata,
    input logic [3:0]  rsp_kind,
    input logic        awready, wready, bvalid, arready, rvalid, rlast,
    input logic [1:0]  bresp, rresp
);
    localparam logic [1:0] DISABLED = 2'd0, RUNNING = 2'd1, STOPPING = 2'd2, HALTED = 2'd3;
    localparam logic [1:0] POST_HALT = 2'd2, POST_STOP = 2'd3;

    // ---- the registers of two portals -------------------------------------------------------------------------------------
    logic [1:0]  states [2];
    logic [4:0]  release_log2 [2], acquire_log2 [2];
    logic [31:0] credits [2], hysteresis [2], bell_release [2], bell_acquire [2];
    logic [5:0]  portal, pool;
    logic        post_valid, hold, visits, idle;
    logic [1:0]  post_what;
    logic [3:0]  post_kind;
    logic [2:0]  post_source;
    logic [63:0] post_address;
    wire         at = portal[0];
    wire         may = host_acts & ~clear & ~(hold & host_portal == at) & ~(post_valid & post_ready); // one after the other
    wire         renews = may & host_enables & states[host_portal] == DISABLED;
    always_ff @(posedge aclk) begin
        if (clear) {states[0], states[1]} <= {DISABLED, DISABLED};
        else if (post_valid & post_ready & post_what == POST_HALT) states[at] <= HALTED;
        else if (post_valid & post_ready & post_what == POST_STOP) states[at] <= DISABLED;
        else if (renews) begin
            states[host_portal] <= RUNNING;
            {bell_release[host_portal], bell_acquire[host_portal]} <= '0;
            {release_log2[host_portal], acquire_log2[host_portal]} <= {host_release_log2, host_acquire_log2};
            {credits[host_portal], hysteresis[host_portal]} <= {host_credits, host_hysteresis};
        end else if (may & host_rings & states[host_portal] == RUNNING) begin
            {bell_release[host_portal], bell_acquire[host_portal]} <= {host_bell_release, host_bell_acquire};
        end else if (may & ~host_enables & states[host_portal] == RUNNING) states[host_portal] <= STOPPING;
        else if (may & ~host_enables & states[host_portal] == HALTED) states[host_portal] <= DISABLED;
    end

    logic ready = 1'b0, began = 1'b0;
    always_ff @(posedge aclk) {began, ready} <= {1'b1, ~clear & (ready | idle)};
    wire serves = enable & ~quiesce & ready & ~clear;
    wire quiesced = quiesce & ~visits & idle;

    logic        req_valid, awvalid, wlast, wvalid, bready, arvalid, rready;
    logic [1:0]  req_op;
    logic [31:0] asked_head, asked_tail;
    logic [63:0] req_addr, awaddr, wdata, araddr;
    logic [7:0]  awlen, wstrb, arlen;
    wire [63:0] ring = 64'h1000; // where it lies is of no matter here
    bmu_portals_engine #(.POOLS(1), .PORTALS(2)) engine (
        .aclk, .aresetn, .clear, .bus_master, .serves, .visits, .idle, .pool_available, .portal, .state(states[at]), .pool_is(6'd0),
        .release_log2_is(release_log2[at]), .acquire_log2_is(acquire_log2[at]),
        .release_base_is(ring), .acquire_base_is(ring), .status_base_is(ring),
        .credits_is(credits[at]), .hysteresis_is(hysteresis[at]), .bell_release_is(bell_release[at]), .bell_acquire_is(bell_acquire[at]), .pool,
        .renews, .renewed({5'd0, host_portal}), .asked_portal({5'd0, host_portal}), .asked_head, .asked_tail,
        .post_valid, .post_ready, .post_what, .post_kind, .post_source, .post_address, .hold,
        .req_valid, .req_ready, .req_op, .req_addr, .rsp_valid, .rsp_addr, .rsp_error, .rsp_kind,
        .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awvalid(awvalid), .m_axi_awready(awready),
        .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast), .m_axi_wvalid(wvalid), .m_axi_wready(wready),
        .m_axi_bresp(bresp), .m_axi_bvalid(bvalid), .m_axi_bready(bready),
        .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arvalid(arvalid), .m_axi_arready(arready),
        .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast), .m_axi_rvalid(rvalid), .m_axi_rready(rready)
    );

    (* hierconn *) logic [3:0]  \engine.step ;
    (* hierconn *) logic        \engine.read_start , \engine.write_start , \engine.entries_start , \engine.read_idle , \engine.write_idle ;
    (* hierconn *) logic        \engine.release_start , \engine.acquire_start , \engine.halts , \engine.stops , \engine.wrote ;
    (* hierconn *) logic        \engine.write_done , \engine.write_failed , \engine.lines , \engine.runs ;
    (* hierconn *) logic [4:0]  \engine.write_length , \engine.release_log2 , \engine.acquire_log2 ;
    (* hierconn *) logic [31:0] \engine.announced , \engine.target , \engine.release_head , \engine.acquire_tail , \engine.acquire_head , \engine.room ;
    (* hierconn *) logic [31:0] \engine.bell_release , \engine.bell_acquire , \engine.held_by_host , \engine.taken , \engine.credits ;
    (* hierconn *) logic        \engine.bad_release , \engine.bad_acquire , \engine.too_many ;
    (* hierconn *) logic        \engine.release_side.active , \engine.release_side.may_read , \engine.release_side.finished ;
    (* hierconn *) logic        \engine.acquire_side.active , \engine.acquire_side.may_write , \engine.acquire_side.finished ;
    (* hierconn *) logic        \engine.acquire_side.returns , \engine.acquire_side.held ;
    (* hierconn *) logic [6:0]  \engine.acquire_side.left ;
    (* hierconn *) logic [5:0]  \engine.acquire_side.taken , \engine.acquire_side.kept ;
    (* hierconn *) logic [2:0]  \engine.acquire_side.at_list ;
    (* hierconn *) logic [4:0]  \engine.acquire_side.length ;
    (* hierconn *) logic        \engine.reads.waits , \engine.reads.refused , \engine.writes.waits , \engine.writes.refused ;
    (* hierconn *) logic        \engine.acquire_side.has_space , \engine.acquire_side.aborted , \engine.acquire_side.refused ;
    (* hierconn *) logic [1:0]  \engine.fresh ;
    (* hierconn *) logic [453:0] \engine.counts.seen ;
    wire [3:0] step = \engine.step ;
    localparam logic [3:0] LOOK = 4'd0, COUNT = 4'd1, CHECK = 4'd2, DECIDE = 4'd3, RELEASE = 4'd4, FILL = 4'd5, FILLS = 4'd6,
        JUDGE = 4'd7, LINE = 4'd8, LINES = 4'd9, TELL = 4'd10, SAVE = 4'd11, END = 4'd12;

    always_comb begin
        if (!began) assume (~aresetn);
        if (~aresetn) assume (clear);
        assume (host_release_log2 >= 3 & host_release_log2 <= 20 & host_acquire_log2 >= 3 & host_acquire_log2 <= 20);
        assume (host_credits >= 1 & host_credits <= 32'd1 << host_acquire_log2 & host_hysteresis >= 1);
        // What comes back was asked for; bmu_portals_bus_proof and those of the sides have the rest.
        if (rsp_valid & \engine.acquire_side.active ) assume (\engine.acquire_side.at_list != 0);
    end

    logic was_serves, was_quiesced = 1'b0, was_visits = 1'b0, was_clear = 1'b1;
    logic [5:0] was_portal;
    always_ff @(posedge aclk) {was_serves, was_quiesced, was_visits, was_clear, was_portal} <= {serves, quiesced & ~clear, visits, clear, portal};

    wire        starts = \engine.read_start | \engine.write_start ;
    wire [1:0]  state = states[at];
    wire [5:0]  stored = \engine.acquire_side.taken - \engine.acquire_side.kept ;
    always_ff @(posedge aclk) if (began) begin
        // What the parts' proofs assume.
        read_begins:  assert (~\engine.read_start | \engine.read_idle );
        write_begins: assert (~\engine.write_start | (\engine.write_idle ));
        release_begins: assert (~\engine.release_start | (~\engine.release_side.active & \engine.read_idle & \engine.announced >= 1
                          & \engine.announced <= 32'd1 << \engine.release_log2 ));
        release_share: assert (step != RELEASE | ~\engine.release_side.active | \engine.target == \engine.bell_release | \engine.too_many );
        acquire_begins: assert (~\engine.acquire_start | (~\engine.acquire_side.active & \engine.write_idle & \engine.room >= 1));
        sides_are:    assert (\engine.release_side.active == (step == RELEASE) & \engine.acquire_side.active == (step == FILLS));
        // SPEC 6.1, 9.2: memory is touched for a portal that runs or stops alone, and never in a reset or before the one on the bus is done.
        lives:        assert (~starts | state == RUNNING | state == STOPPING);
        not_in_reset: assert (~(starts & ~clear) | ready);
        // SPEC 4.3, 9.1: entries while portals are served; lines too, but the one with HALTED.
        entries_may:  assert (~(\engine.read_start | \engine.entries_start ) | serves);
        takes_may:    assert (~\engine.entries_start | state == RUNNING);
        line_may:     assert (~(\engine.write_start & \engine.lines ) | was_serves | \engine.halts );
        // That `idle` is a quiet bus has bmu_portals_bus_proof.
        quiet:        assert (~quiesced | ~(starts | req_valid | post_valid));
        stays_quiet:  assert (~(was_quiesced & quiesce) | quiesced);
        // SPEC 6.1: a portal stops with its line written. SPEC 7: what is told is in memory.
        stops_after:  assert (~(post_valid & post_what == POST_STOP) | (\engine.wrote & state == STOPPING & \engine.write_idle & \engine.read_idle ));
        tells_after:  assert (~(post_valid & step != RELEASE) | (\engine.write_idle & \engine.read_idle ));
        // One portal after the other; none is left in the middle of its visit.
        next_is:      assert (was_clear | portal == was_portal | (~visits & portal[0] == ~was_portal[0]));
        portal_is:    assert (portal <= 1);
        // For the induction.
        closed_is:    assert (\engine.acquire_side.active | ~(\engine.acquire_side.held | \engine.acquire_side.returns ));
        answers_are:  assert (~(\engine.reads.waits & \engine.reads.refused ) & ~(\engine.writes.waits & \engine.writes.refused ));
        read_is:      assert (~\engine.release_side.finished | step == RELEASE);
        doorbell_is:  assert (step != DECIDE | \engine.bad_release == (\engine.announced > 32'd1 << \engine.release_log2 ));
        filled_is:    assert (~\engine.acquire_side.finished | (stored == 0 & \engine.acquire_side.at_list == 0 & ~\engine.acquire_side.held ));
        burst_is:     assert (~\engine.acquire_side.may_write | (stored != 0 & \engine.acquire_side.length <= stored & ~\engine.acquire_side.returns ));
        asks_is:      assert (step != FILLS | ((~\engine.acquire_side.held | (\engine.acquire_side.returns ? stored != 0 : \engine.acquire_side.left != 0))
                          & \engine.acquire_side.at_list <= 4 & stored <= 32 & (\engine.acquire_side.returns | stored + \engine.acquire_side.at_list <= 32)
                          & (~\engine.acquire_side.held | \engine.acquire_side.at_list < 4)));
        space_is:     assert (step != FILLS | \engine.acquire_side.returns | ((~\engine.acquire_side.has_space | stored + \engine.acquire_side.at_list < 32)
                          & (~\engine.acquire_side.held | stored + \engine.acquire_side.at_list < 32)));
        busy_is:      assert (~(step == FILLS & ~\engine.write_idle ) | (\engine.acquire_side.length <= stored & ~\engine.acquire_side.returns ));
        back_is:      assert (~\engine.acquire_side.returns | \engine.acquire_side.aborted | \engine.acquire_side.refused );
        steps_are:    assert (step <= END);
        rests:        assert ((step == RELEASE | ~(\engine.release_side.may_read | \engine.release_side.finished ))
                          & (step == FILLS | ~(\engine.acquire_side.may_write | \engine.acquire_side.finished )));
        reads_are:    assert (\engine.read_idle | step == RELEASE | ~ready);
        writes_are:   assert (\engine.write_idle | step == FILLS | step == LINES | ~ready);
        ready_visits: assert (~visits | ready | clear);
        ends_idle:    assert (~(\engine.release_side.finished | \engine.release_side.may_read ) | \engine.read_idle );
        fills_idle:   assert (~(\engine.acquire_side.finished | \engine.acquire_side.may_write ) | \engine.write_idle );
        visit_lives:  assert (step == LOOK | state == RUNNING | state == STOPPING);
        line_is:      assert (step != LINE | was_serves | \engine.halts );
        stop_is:      assert (~(step != LOOK & \engine.stops ) | state == STOPPING);
        end_is:       assert (step != END | \engine.halts | (\engine.stops & \engine.wrote ));
    end
endmodule
