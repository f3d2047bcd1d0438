// The portals of a BMU: pairs of rings in host memory, each of which serves one pool (devices/src/bmu/SPEC.md, version 1.1,
// sections 2.1, 4.7, 4.9, 6, 7 and 9).
//
// One engine serves them in turn over one AXI4 port of 64 bits. "SPEC" with a number is a section of that text, wherever it
// stands here.
module bmu_portals #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned PORTALS = 4,
    parameter int unsigned RING_MIN_LOG2 = 3,
    parameter int unsigned RING_MAX_LOG2 = 10,
    parameter int unsigned WIDTH = 48
) (
    input  logic                aclk,
    input  logic                aresetn,     // low: reset of the bus, which forgets what is under way; `clear` comes with it
    input  logic                bus_master,  // Command.Bus Master
    input  logic                enable,      // CONTROL.ENABLE
    input  logic                quiesce,     // CONTROL.QUIESCE
    output logic                quiesced,
    input  logic                clear,       // any reset; whoever has the list forgets with it what was asked of it before
    output logic                cleared,     // the reset is done, and nothing on the bus is of before it
    output logic                busy,        // a portal is served, or a reset is not done

    // An access to a register: all stand still until `acc_done`, with which `acc_rdata` comes.
    input  logic                acc_valid,
    input  logic                acc_page,    // 0: BAR 0, SPEC 4.7; 1: BAR 2, SPEC 4.9
    input  logic                acc_write,
    input  logic [5:0]          acc_portal,
    input  logic [11:0]         acc_offset,
    input  logic [31:0]         acc_wdata,
    output logic                acc_done,
    output logic [31:0]         acc_rdata,

    // The lists: an answer a request, in order, up to four under way.
    output logic                req_valid,
    input  logic                req_ready,
    output logic [1:0]          req_op,      // 0 take, 1 free, 2 give back, which no check refuses
    output logic [5:0]          req_pool,
    output logic [63:0]         req_addr,
    input  logic                rsp_valid,
    input  logic [63:0]         rsp_addr,    // what was taken, 0: nothing
    input  logic                rsp_error,   // a free is refused
    input  logic [3:0]          rsp_kind,    // SPEC 4.4
    input  logic [POOLS-1:0]    pool_enabled,
    input  logic [POOLS*32-1:0] pool_available,
    output logic [POOLS-1:0]    pool_used,   // by a portal that is not disabled

    output logic                err_valid,
    input  logic                err_ready,
    output logic [3:0]          err_kind,
    output logic [2:0]          err_source,
    output logic [5:0]          err_pool,
    output logic [5:0]          err_portal,
    output logic [63:0]         err_address,

    output logic                raise_valid,
    input  logic                raise_ready,
    output logic [4:0]          raise_vector,

    // AXI4: one read and one write at a time, in bursts of whole words.
    output logic [63:0]         m_axi_awaddr,
    output logic [7:0]          m_axi_awlen,
    output logic [2:0]          m_axi_awsize,
    output logic [1:0]          m_axi_awburst,
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
    output logic [2:0]          m_axi_arsize,
    output logic [1:0]          m_axi_arburst,
    output logic                m_axi_arvalid,
    input  logic                m_axi_arready,
    input  logic [63:0]         m_axi_rdata,
    input  logic [1:0]          m_axi_rresp,
    input  logic                m_axi_rlast,
    input  logic                m_axi_rvalid,
    output logic                m_axi_rready
);
    if (PORTALS < 1 || PORTALS > 64 || POOLS < 1 || POOLS > 64) begin : g_counts
        $error("bmu_portals: 1 to 64 PORTALS and POOLS (SPEC 4.2)");
    end
    if (RING_MIN_LOG2 < 3 || RING_MAX_LOG2 > 20 || RING_MIN_LOG2 > RING_MAX_LOG2) begin : g_rings
        $error("bmu_portals: rings of 2^3 to 2^20 entries (SPEC 4.2)");
    end
    if (WIDTH < 32 || WIDTH > 64) begin : g_width
        $error("bmu_portals: WIDTH must be 32 to 64 (SPEC 4.2)");
    end

    localparam logic [2:0] WORDS = 3'd3; // of 8 bytes
    localparam logic [1:0] INCR = 2'd1;
    assign m_axi_awsize  = WORDS;
    assign m_axi_awburst = INCR;
    assign m_axi_arsize  = WORDS;
    assign m_axi_arburst = INCR;

    logic        swept, visits, idle, renews, hold;
    logic        post_valid, post_ready;
    logic [1:0]  post_what;
    logic [3:0]  post_kind;
    logic [2:0]  post_source;
    logic [63:0] post_address;
    logic [5:0]  portal, pool;
    logic [1:0]  state;
    logic [4:0]  release_log2, acquire_log2;
    logic [63:0] release_base, acquire_base, status_base;
    logic [31:0] credits, hysteresis, bell_release, bell_acquire, release_head, acquire_tail;

    logic ready; // since the last reset
    always_ff @(posedge aclk) ready <= ~clear & (ready | (swept & idle));
    assign cleared  = ready & ~clear;
    assign busy     = ~ready | visits | ~idle;
    assign quiesced = quiesce & ~visits & idle;

    bmu_portals_regs #(
        .POOLS(POOLS), .PORTALS(PORTALS), .RING_MIN_LOG2(RING_MIN_LOG2), .RING_MAX_LOG2(RING_MAX_LOG2), .WIDTH(WIDTH)
    ) regs (
        .aclk, .clear, .swept, .ready,
        .acc_valid, .acc_page, .acc_write, .acc_portal, .acc_offset, .acc_wdata, .acc_done, .acc_rdata,
        .post_valid, .post_ready, .post_what, .post_kind, .post_source, .post_address, .hold,
        .engine_portal(portal), .engine_state(state), .engine_pool(pool),
        .engine_release_log2(release_log2), .engine_acquire_log2(acquire_log2),
        .engine_release_base(release_base), .engine_acquire_base(acquire_base), .engine_status_base(status_base),
        .engine_credits(credits), .engine_hysteresis(hysteresis),
        .engine_bell_release(bell_release), .engine_bell_acquire(bell_acquire),
        .renews, .release_head, .acquire_tail, .pool_enabled, .pool_used,
        .err_valid, .err_ready, .err_kind, .err_source, .err_pool, .err_portal, .err_address,
        .raise_valid, .raise_ready, .raise_vector
    );

    bmu_portals_engine #(.POOLS(POOLS), .PORTALS(PORTALS)) engine (
        .aclk, .aresetn, .clear, .bus_master, .serves(enable & ~quiesce & cleared), .visits, .idle,
        .pool_available, .portal, .state, .pool_is(pool), .release_log2_is(release_log2), .acquire_log2_is(acquire_log2),
        .release_base_is(release_base), .acquire_base_is(acquire_base), .status_base_is(status_base),
        .credits_is(credits), .hysteresis_is(hysteresis), .bell_release_is(bell_release), .bell_acquire_is(bell_acquire),
        .pool(req_pool),
        .renews, .renewed(acc_portal), .asked_portal(acc_portal), .asked_head(release_head), .asked_tail(acquire_tail),
        .post_valid, .post_ready, .post_what, .post_kind, .post_source, .post_address, .hold,
        .req_valid, .req_ready, .req_op, .req_addr, .rsp_valid, .rsp_addr, .rsp_error, .rsp_kind,
        .m_axi_awaddr, .m_axi_awlen, .m_axi_awvalid, .m_axi_awready,
        .m_axi_wdata, .m_axi_wstrb, .m_axi_wlast, .m_axi_wvalid, .m_axi_wready,
        .m_axi_bresp, .m_axi_bvalid, .m_axi_bready,
        .m_axi_araddr, .m_axi_arlen, .m_axi_arvalid, .m_axi_arready,
        .m_axi_rdata, .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready
    );
endmodule
