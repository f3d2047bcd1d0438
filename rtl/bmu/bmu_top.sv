// BMU, the buffer manager: the device of devices/src/bmu/SPEC.md, version 1.1, behind AXI4-Lite ports of 32 bits.
//
// README.md says how to join it to a PCI function. "SPEC" with a number is a section of that text, wherever it stands here.
module bmu_top #(
    parameter int unsigned POOLS = 4,          // 1 to 64
    parameter int unsigned PORTALS = 0,        // 0 to 64
    parameter int unsigned VECTORS = 8,        // 1 to 32
    // Buffers that the list of a pool holds, and most that its range has: a power of two, 2 to 2^24.
    parameter int unsigned BUFFERS = 1024,
    parameter int unsigned RING_MIN_LOG2 = 3,  // entries of a portal's rings
    parameter int unsigned RING_MAX_LOG2 = 10,
    parameter int unsigned WIDTH = 48,         // bits of an address, 32 to 64
    // 1: the bridge before the ports loses accesses of 64 bits, or refuses them, and does not split them (SPEC 2.1).
    parameter int unsigned HALVES_ONLY = 0,
    // CAP_TIMEOUT and CAP_EMPTYING: at this clock, BUFFERS * POOLS * 2 cycles must be within each.
    parameter int unsigned TIMEOUT_MS = 100,
    parameter int unsigned EMPTYING_MS = 100
) (
    input  logic               aclk,
    input  logic               por_n,       // low: power-up, the reset that RESET_COUNT does not survive
    input  logic               aresetn,     // low: reset of the bus and of the function
    input  logic               flr,         // high: reset of the function alone; the ports go on and answer
    input  logic               bus_master,  // Command.Bus Master; for portals alone

    input  logic [15:0]        s_axil_awaddr, // BAR 0
    input  logic [2:0]         s_axil_awprot,
    input  logic               s_axil_awvalid,
    output logic               s_axil_awready,
    input  logic [31:0]        s_axil_wdata,
    input  logic [3:0]         s_axil_wstrb,
    input  logic               s_axil_wvalid,
    output logic               s_axil_wready,
    output logic [1:0]         s_axil_bresp,
    output logic               s_axil_bvalid,
    input  logic               s_axil_bready,
    input  logic [15:0]        s_axil_araddr,
    input  logic [2:0]         s_axil_arprot,
    input  logic               s_axil_arvalid,
    output logic               s_axil_arready,
    output logic [31:0]        s_axil_rdata,
    output logic [1:0]         s_axil_rresp,
    output logic               s_axil_rvalid,
    input  logic               s_axil_rready,

    input  logic [18:0]        s_axip_awaddr, // BAR 2
    input  logic [2:0]         s_axip_awprot,
    input  logic               s_axip_awvalid,
    output logic               s_axip_awready,
    input  logic [31:0]        s_axip_wdata,
    input  logic [3:0]         s_axip_wstrb,
    input  logic               s_axip_wvalid,
    output logic               s_axip_wready,
    output logic [1:0]         s_axip_bresp,
    output logic               s_axip_bvalid,
    input  logic               s_axip_bready,
    input  logic [18:0]        s_axip_araddr,
    input  logic [2:0]         s_axip_arprot,
    input  logic               s_axip_arvalid,
    output logic               s_axip_arready,
    output logic [31:0]        s_axip_rdata,
    output logic [1:0]         s_axip_rresp,
    output logic               s_axip_rvalid,
    input  logic               s_axip_rready,

    // AXI4 for the portals: one read and one write at a time, in bursts of whole words. Without portals, nothing is asked for.
    output logic [63:0]        m_axi_awaddr,
    output logic [7:0]         m_axi_awlen,
    output logic [2:0]         m_axi_awsize,
    output logic [1:0]         m_axi_awburst,
    output logic               m_axi_awvalid,
    input  logic               m_axi_awready,
    output logic [63:0]        m_axi_wdata,
    output logic [7:0]         m_axi_wstrb,
    output logic               m_axi_wlast,
    output logic               m_axi_wvalid,
    input  logic               m_axi_wready,
    input  logic [1:0]         m_axi_bresp,
    input  logic               m_axi_bvalid,
    output logic               m_axi_bready,
    output logic [63:0]        m_axi_araddr,
    output logic [7:0]         m_axi_arlen,
    output logic [2:0]         m_axi_arsize,
    output logic [1:0]         m_axi_arburst,
    output logic               m_axi_arvalid,
    input  logic               m_axi_arready,
    input  logic [63:0]        m_axi_rdata,
    input  logic [1:0]         m_axi_rresp,
    input  logic               m_axi_rlast,
    input  logic               m_axi_rvalid,
    output logic               m_axi_rready,

    output logic [VECTORS-1:0] irq_valid,   // a message of each vector, until it is taken
    input  logic [VECTORS-1:0] irq_ready,
    output logic               busy         // lists are emptied, a portal is served, or something waits to be told: the clock must go on
);
    if (POOLS < 1 || POOLS > 64) begin : g_pools
        $error("bmu_top: POOLS must be 1 to 64 (SPEC 4.2)");
    end
    if (PORTALS > 64) begin : g_portals
        $error("bmu_top: PORTALS must be 0 to 64 (SPEC 4.2)");
    end
    if (VECTORS < 1 || VECTORS > 32) begin : g_vectors
        $error("bmu_top: VECTORS must be 1 to 32 (SPEC 4.2)");
    end
    if (BUFFERS < 2 || BUFFERS > 2 ** 24 || (BUFFERS & (BUFFERS - 1)) != 0) begin : g_buffers
        $error("bmu_top: BUFFERS must be a power of two, 2 to 2^24");
    end
    if (WIDTH < 32 || WIDTH > 64) begin : g_width
        $error("bmu_top: WIDTH must be 32 to 64 (SPEC 4.2)");
    end
    if (RING_MIN_LOG2 < 3 || RING_MAX_LOG2 > 20 || RING_MIN_LOG2 > RING_MAX_LOG2) begin : g_rings
        $error("bmu_top: rings have 2^3 to 2^20 entries (SPEC 4.2)");
    end
    if (TIMEOUT_MS < 1 || TIMEOUT_MS > 65535 || EMPTYING_MS < 1 || EMPTYING_MS > 65535) begin : g_times
        $error("bmu_top: TIMEOUT_MS and EMPTYING_MS must be 1 to 65535 (SPEC 4.2)");
    end

    // ---- accesses ------------------------------------------------------------------------------------------------------
    logic        bus_up, outside, clear, ready, soft_reset;
    logic [30:0] reset_count;
    logic        control_valid, control_write, control_done, operation_valid, operation_write, operation_done;
    logic [15:0] control_offset;
    logic [18:0] operation_offset;
    logic [31:0] control_data, operation_data, given;
    logic        write, page;
    logic [11:0] offset;
    logic [5:0]  number;
    logic [31:0] data;
    logic        device_valid, errors_valid, vectors_valid, pool_valid, acc_valid;
    logic        errors_done, vectors_done, pool_done, acc_done;
    logic [31:0] device_answer, errors_answer, vectors_answer, pool_answer, acc_rdata;

    // SPEC 2 knows no access that fails.
    assign s_axil_bresp = 2'b00;
    assign s_axil_rresp = 2'b00;
    assign s_axip_bresp = 2'b00;
    assign s_axip_rresp = 2'b00;

    assign bus_up = aresetn & por_n;

    bmu_port #(.BITS(16)) control_port (
        .aclk, .aresetn(bus_up),
        .awaddr(s_axil_awaddr), .awvalid(s_axil_awvalid), .awready(s_axil_awready),
        .wdata(s_axil_wdata), .wstrb(s_axil_wstrb), .wvalid(s_axil_wvalid), .wready(s_axil_wready),
        .bvalid(s_axil_bvalid), .bready(s_axil_bready),
        .araddr(s_axil_araddr), .arvalid(s_axil_arvalid), .arready(s_axil_arready),
        .rdata(s_axil_rdata), .rvalid(s_axil_rvalid), .rready(s_axil_rready),
        .valid(control_valid), .write(control_write), .offset(control_offset), .data(control_data),
        .done(control_done), .answer(given)
    );

    bmu_port #(.BITS(19)) operation_port (
        .aclk, .aresetn(bus_up),
        .awaddr(s_axip_awaddr), .awvalid(s_axip_awvalid), .awready(s_axip_awready),
        .wdata(s_axip_wdata), .wstrb(s_axip_wstrb), .wvalid(s_axip_wvalid), .wready(s_axip_wready),
        .bvalid(s_axip_bvalid), .bready(s_axip_bready),
        .araddr(s_axip_araddr), .arvalid(s_axip_arvalid), .arready(s_axip_arready),
        .rdata(s_axip_rdata), .rvalid(s_axip_rvalid), .rready(s_axip_rready),
        .valid(operation_valid), .write(operation_write), .offset(operation_offset), .data(operation_data),
        .done(operation_done), .answer(given)
    );

    bmu_decode #(.POOLS(POOLS), .PORTALS(PORTALS)) decode (
        .aclk, .aresetn(bus_up), .works(ready),
        .control_valid, .control_write, .control_offset, .control_data, .control_done,
        .operation_valid, .operation_write, .operation_offset, .operation_data, .operation_done,
        .answer(given),
        .write, .offset, .number, .page, .data,
        .device_valid, .errors_valid, .irq_valid(vectors_valid), .pool_valid, .portal_valid(acc_valid),
        .errors_done, .irq_done(vectors_done), .pool_done, .portal_done(acc_done),
        .device_answer, .errors_answer, .irq_answer(vectors_answer), .pool_answer, .portal_answer(acc_rdata)
    );

    // ---- the device ----------------------------------------------------------------------------------------------------
    logic enable, quiesce, quiesced, pools_cleared, portals_cleared, portals_busy;

    bmu_reset resets (
        .aclk, .por_n, .aresetn, .flr, .soft_reset, .cleared(pools_cleared & portals_cleared),
        .outside, .clear, .ready, .count(reset_count)
    );

    bmu_device #(
        .POOLS(POOLS), .PORTALS(PORTALS), .VECTORS(VECTORS), .BUFFERS(BUFFERS), .RING_MIN_LOG2(RING_MIN_LOG2),
        .RING_MAX_LOG2(RING_MAX_LOG2), .WIDTH(WIDTH), .HALVES_ONLY(HALVES_ONLY), .TIMEOUT_MS(TIMEOUT_MS),
        .EMPTYING_MS(EMPTYING_MS)
    ) device (
        .aclk, .clear, .ready, .valid(device_valid), .write, .offset(offset[7:0]), .data, .answer(device_answer),
        .enable, .quiesce, .quiesced, .soft_reset, .reset_count
    );

    logic        pools_err, pools_err_ready, portals_err, portals_err_ready;
    logic [3:0]  pools_err_kind, portals_err_kind;
    logic [2:0]  pools_err_source, portals_err_source;
    logic [5:0]  pools_err_pool, portals_err_pool, portals_err_portal;
    logic [63:0] pools_err_address, portals_err_address;
    logic        errors_raise, errors_raise_ready, pools_raise, pools_raise_ready, portals_raise, portals_raise_ready;
    logic [4:0]  errors_vector, pools_vector, portals_vector;

    bmu_errors errors (
        .aclk, .clear, .valid(errors_valid), .write, .offset(offset[7:0]), .data, .done(errors_done),
        .answer(errors_answer),
        .pools_valid(pools_err), .pools_ready(pools_err_ready), .pools_kind(pools_err_kind),
        .pools_source(pools_err_source), .pools_pool(pools_err_pool), .pools_address(pools_err_address),
        .portals_valid(portals_err), .portals_ready(portals_err_ready), .portals_kind(portals_err_kind),
        .portals_source(portals_err_source), .portals_pool(portals_err_pool), .portals_portal(portals_err_portal),
        .portals_address(portals_err_address),
        .raise(errors_raise), .raise_ready(errors_raise_ready), .raise_vector(errors_vector)
    );

    bmu_irq #(.VECTORS(VECTORS)) vectors (
        .aclk, .clear, .drop(outside),
        .valid(vectors_valid), .write, .offset(offset[7:0]), .data, .done(vectors_done), .answer(vectors_answer),
        .errors_raise, .errors_ready(errors_raise_ready), .errors_vector,
        .pools_raise, .pools_ready(pools_raise_ready), .pools_vector,
        .portals_raise, .portals_ready(portals_raise_ready), .portals_vector,
        .irq_valid, .irq_ready
    );

    // ---- pools ---------------------------------------------------------------------------------------------------------
    logic                own_valid, own_done;
    logic [2:0]          own_op;
    logic [63:0]         own_value, own_answer;
    logic                req_valid, req_ready, rsp_valid, rsp_error;
    logic [1:0]          req_op;
    logic [5:0]          req_pool;
    logic [63:0]         req_addr, rsp_addr;
    logic [3:0]          rsp_kind;
    logic [POOLS-1:0]    pool_enabled, pool_used;
    logic [POOLS*32-1:0] pool_available;

    bmu_path #(.POOLS(POOLS)) path (
        .aclk, .clear, .valid(pool_valid), .write, .page, .pool(number), .offset, .data, .done(pool_done),
        .answer(pool_answer), .own_valid, .own_op, .own_value, .own_done, .own_answer
    );

    bmu_pools #(.POOLS(POOLS), .BUFFERS(BUFFERS), .WIDTH(WIDTH)) pools (
        .aclk, .clear, .enable, .cleared(pools_cleared),
        .own_valid, .own_op, .own_pool(number), .own_offset(offset[7:0]), .own_value, .own_done, .own_answer,
        .req_valid, .req_ready, .req_op, .req_pool, .req_addr, .rsp_valid, .rsp_addr, .rsp_error, .rsp_kind,
        .pool_enabled, .pool_available, .pool_used,
        .err_valid(pools_err), .err_ready(pools_err_ready), .err_kind(pools_err_kind), .err_source(pools_err_source),
        .err_pool(pools_err_pool), .err_address(pools_err_address),
        .raise_valid(pools_raise), .raise_ready(pools_raise_ready), .raise_vector(pools_vector)
    );

    // ---- portals -------------------------------------------------------------------------------------------------------
    // What they share with the rest stands here, whether there are any or not.
    if (PORTALS == 0) begin : g_no_portals
        assign {req_valid, req_op, req_pool, req_addr} = '0;
        assign {portals_err, portals_err_kind, portals_err_source} = '0;
        assign {portals_err_pool, portals_err_portal, portals_err_address} = '0;
        assign {portals_raise, portals_vector} = '0;
        assign {acc_done, acc_rdata} = {1'b1, 32'd0};
        assign pool_used = '0;
        assign {quiesced, portals_cleared} = '1;
        assign portals_busy = 1'b0;
        assign {m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst, m_axi_awvalid} = '0;
        assign {m_axi_wdata, m_axi_wstrb, m_axi_wlast, m_axi_wvalid, m_axi_bready} = '0;
        assign {m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst, m_axi_arvalid, m_axi_rready} = '0;
        wire unused_axi = &{m_axi_awready, m_axi_wready, m_axi_bresp, m_axi_bvalid, m_axi_arready, m_axi_rdata, m_axi_rresp,
                            m_axi_rlast, m_axi_rvalid};
        wire unused_portals = &{bus_master, quiesce, acc_valid, req_ready, rsp_valid, rsp_addr, rsp_error, rsp_kind, pool_enabled,
                                pool_available, portals_err_ready, portals_raise_ready, page};
    end else begin : g_portals
        bmu_portals #(
            .POOLS(POOLS), .PORTALS(PORTALS), .RING_MIN_LOG2(RING_MIN_LOG2), .RING_MAX_LOG2(RING_MAX_LOG2), .WIDTH(WIDTH)
        ) portals (
            .aclk, .aresetn(bus_up), .bus_master, .enable, .quiesce, .quiesced, .clear, .cleared(portals_cleared),
            .busy(portals_busy),
            .acc_valid, .acc_page(page), .acc_write(write), .acc_portal(number), .acc_offset(offset), .acc_wdata(data),
            .acc_done, .acc_rdata,
            .req_valid, .req_ready, .req_op, .req_pool, .req_addr, .rsp_valid, .rsp_addr, .rsp_error, .rsp_kind,
            .pool_enabled, .pool_available, .pool_used,
            .err_valid(portals_err), .err_ready(portals_err_ready), .err_kind(portals_err_kind),
            .err_source(portals_err_source), .err_pool(portals_err_pool), .err_portal(portals_err_portal),
            .err_address(portals_err_address),
            .raise_valid(portals_raise), .raise_ready(portals_raise_ready), .raise_vector(portals_vector),
            .m_axi_awaddr, .m_axi_awlen, .m_axi_awsize, .m_axi_awburst, .m_axi_awvalid, .m_axi_awready,
            .m_axi_wdata, .m_axi_wstrb, .m_axi_wlast, .m_axi_wvalid, .m_axi_wready,
            .m_axi_bresp, .m_axi_bvalid, .m_axi_bready,
            .m_axi_araddr, .m_axi_arlen, .m_axi_arsize, .m_axi_arburst, .m_axi_arvalid, .m_axi_arready,
            .m_axi_rdata, .m_axi_rresp, .m_axi_rlast, .m_axi_rvalid, .m_axi_rready
        );
    end

    assign busy = ~pools_cleared | errors_raise | pools_raise | portals_raise | portals_busy;

    wire unused = &{s_axil_awprot, s_axil_arprot, s_axip_awprot, s_axip_arprot};
endmodule
