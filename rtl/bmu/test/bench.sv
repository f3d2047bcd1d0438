// The BMU with the rules of its ports beside it, for main.cpp: `c_` is BAR 0, `o_` is BAR 2.
module bench #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned VECTORS = 8,
    parameter int unsigned BUFFERS = 256,
    parameter int unsigned WIDTH = 48
) (
    input  logic               aclk, por_n, aresetn, flr,
    input  logic [15:0]        c_awaddr,
    input  logic               c_awvalid,
    output logic               c_awready,
    input  logic [31:0]        c_wdata,
    input  logic [3:0]         c_wstrb,
    input  logic               c_wvalid,
    output logic               c_wready,
    output logic [1:0]         c_bresp,
    output logic               c_bvalid,
    input  logic               c_bready,
    input  logic [15:0]        c_araddr,
    input  logic               c_arvalid,
    output logic               c_arready,
    output logic [31:0]        c_rdata,
    output logic [1:0]         c_rresp,
    output logic               c_rvalid,
    input  logic               c_rready,
    input  logic [18:0]        o_awaddr,
    input  logic               o_awvalid,
    output logic               o_awready,
    input  logic [31:0]        o_wdata,
    input  logic [3:0]         o_wstrb,
    input  logic               o_wvalid,
    output logic               o_wready,
    output logic [1:0]         o_bresp,
    output logic               o_bvalid,
    input  logic               o_bready,
    input  logic [18:0]        o_araddr,
    input  logic               o_arvalid,
    output logic               o_arready,
    output logic [31:0]        o_rdata,
    output logic [1:0]         o_rresp,
    output logic               o_rvalid,
    input  logic               o_rready,
    output logic [VECTORS-1:0] irq_valid,
    input  logic [VECTORS-1:0] irq_ready,
    output logic               busy
);
    // Without portals, whose bench is test/portals.
    /* verilator lint_off PINCONNECTEMPTY */
    bmu_top #(.POOLS(POOLS), .VECTORS(VECTORS), .BUFFERS(BUFFERS), .WIDTH(WIDTH)) bmu (
        .aclk, .por_n, .aresetn, .flr, .bus_master(1'b1),
        .s_axil_awaddr(c_awaddr), .s_axil_awprot(3'd0), .s_axil_awvalid(c_awvalid), .s_axil_awready(c_awready),
        .s_axil_wdata(c_wdata), .s_axil_wstrb(c_wstrb), .s_axil_wvalid(c_wvalid), .s_axil_wready(c_wready),
        .s_axil_bresp(c_bresp), .s_axil_bvalid(c_bvalid), .s_axil_bready(c_bready),
        .s_axil_araddr(c_araddr), .s_axil_arprot(3'd0), .s_axil_arvalid(c_arvalid), .s_axil_arready(c_arready),
        .s_axil_rdata(c_rdata), .s_axil_rresp(c_rresp), .s_axil_rvalid(c_rvalid), .s_axil_rready(c_rready),
        .s_axip_awaddr(o_awaddr), .s_axip_awprot(3'd0), .s_axip_awvalid(o_awvalid), .s_axip_awready(o_awready),
        .s_axip_wdata(o_wdata), .s_axip_wstrb(o_wstrb), .s_axip_wvalid(o_wvalid), .s_axip_wready(o_wready),
        .s_axip_bresp(o_bresp), .s_axip_bvalid(o_bvalid), .s_axip_bready(o_bready),
        .s_axip_araddr(o_araddr), .s_axip_arprot(3'd0), .s_axip_arvalid(o_arvalid), .s_axip_arready(o_arready),
        .s_axip_rdata(o_rdata), .s_axip_rresp(o_rresp), .s_axip_rvalid(o_rvalid), .s_axip_rready(o_rready),
        .m_axi_awaddr(), .m_axi_awlen(), .m_axi_awsize(), .m_axi_awburst(), .m_axi_awvalid(), .m_axi_awready(1'b0),
        .m_axi_wdata(), .m_axi_wstrb(), .m_axi_wlast(), .m_axi_wvalid(), .m_axi_wready(1'b0),
        .m_axi_bresp(2'd0), .m_axi_bvalid(1'b0), .m_axi_bready(),
        .m_axi_araddr(), .m_axi_arlen(), .m_axi_arsize(), .m_axi_arburst(), .m_axi_arvalid(), .m_axi_arready(1'b0),
        .m_axi_rdata(64'd0), .m_axi_rresp(2'd0), .m_axi_rlast(1'b0), .m_axi_rvalid(1'b0), .m_axi_rready(),
        .irq_valid, .irq_ready, .busy
    );

    axil_check #(.BITS(16)) control_check (
        .aclk, .aresetn(aresetn & por_n),
        .awaddr(c_awaddr), .awvalid(c_awvalid), .awready(c_awready),
        .wdata(c_wdata), .wstrb(c_wstrb), .wvalid(c_wvalid), .wready(c_wready),
        .bresp(c_bresp), .bvalid(c_bvalid), .bready(c_bready),
        .araddr(c_araddr), .arvalid(c_arvalid), .arready(c_arready),
        .rdata(c_rdata), .rresp(c_rresp), .rvalid(c_rvalid), .rready(c_rready),
        .aw_open(), .w_open(), .ar_open()
    );
    axil_check #(.BITS(19)) operation_check (
        .aclk, .aresetn(aresetn & por_n),
        .awaddr(o_awaddr), .awvalid(o_awvalid), .awready(o_awready),
        .wdata(o_wdata), .wstrb(o_wstrb), .wvalid(o_wvalid), .wready(o_wready),
        .bresp(o_bresp), .bvalid(o_bvalid), .bready(o_bready),
        .araddr(o_araddr), .arvalid(o_arvalid), .arready(o_arready),
        .rdata(o_rdata), .rresp(o_rresp), .rvalid(o_rvalid), .rready(o_rready),
        .aw_open(), .w_open(), .ar_open()
    );
    /* verilator lint_on PINCONNECTEMPTY */
endmodule
