// Five engines of traffic_engine.sv, one for each width of data, so that one build tries them all, and at the same time.
`define PORTS(W, I) \
    input  logic [16:0]    s``W``_awaddr, s``W``_araddr, \
    input  logic           s``W``_awvalid, s``W``_wvalid, s``W``_bready, s``W``_arvalid, s``W``_rready, \
    output logic           s``W``_awready, s``W``_wready, s``W``_bvalid, s``W``_arready, s``W``_rvalid, \
    input  logic [63:0]    s``W``_wdata, \
    input  logic [7:0]     s``W``_wstrb, \
    output logic [63:0]    s``W``_rdata, \
    output logic [1:0]     s``W``_bresp, s``W``_rresp, \
    output logic [I-1:0] m``W``_arid, m``W``_awid, \
    output logic [63:0]    m``W``_araddr, m``W``_awaddr, \
    output logic [7:0]     m``W``_arlen, m``W``_awlen, \
    output logic [2:0]     m``W``_arsize, m``W``_awsize, \
    output logic [1:0]     m``W``_arburst, m``W``_awburst, \
    output logic           m``W``_arvalid, m``W``_awvalid, m``W``_wvalid, m``W``_wlast, m``W``_bready, m``W``_rready, \
    input  logic           m``W``_arready, m``W``_awready, m``W``_wready, m``W``_bvalid, m``W``_rvalid, m``W``_rlast, \
    output logic [W-1:0]   m``W``_wdata, \
    output logic [W/8-1:0] m``W``_wstrb, \
    input  logic [W-1:0]   m``W``_rdata, \
    input  logic [1:0]     m``W``_rresp, m``W``_bresp, \
    input  logic [I-1:0] m``W``_rid, m``W``_bid

`define ENGINE(W, I, N) \
  wire unused``W = &{s``W``_awaddr[2:0], s``W``_araddr[2:0]}; \
  traffic_engine #(.WIDTH(W), .IDS(I)) engine``W ( \
    .clk, .rst_n, .go(goes != 0), .goes(goes[N]), .running(running[N]), \
    .s_awaddr(s``W``_awaddr[16:3]), .s_araddr(s``W``_araddr[16:3]), \
    .s_awvalid(s``W``_awvalid), .s_wvalid(s``W``_wvalid), .s_bready(s``W``_bready), .s_arvalid(s``W``_arvalid), \
    .s_rready(s``W``_rready), .s_awready(s``W``_awready), .s_wready(s``W``_wready), .s_bvalid(s``W``_bvalid), \
    .s_arready(s``W``_arready), .s_rvalid(s``W``_rvalid), .s_wdata(s``W``_wdata), .s_wstrb(s``W``_wstrb), \
    .s_rdata(s``W``_rdata), .s_bresp(s``W``_bresp), .s_rresp(s``W``_rresp), \
    .m_arid(m``W``_arid), .m_awid(m``W``_awid), .m_araddr(m``W``_araddr), .m_awaddr(m``W``_awaddr), \
    .m_arlen(m``W``_arlen), .m_awlen(m``W``_awlen), .m_arsize(m``W``_arsize), .m_awsize(m``W``_awsize), \
    .m_arburst(m``W``_arburst), .m_awburst(m``W``_awburst), .m_arvalid(m``W``_arvalid), .m_awvalid(m``W``_awvalid), \
    .m_wvalid(m``W``_wvalid), .m_wlast(m``W``_wlast), .m_bready(m``W``_bready), .m_rready(m``W``_rready), \
    .m_arready(m``W``_arready), .m_awready(m``W``_awready), .m_wready(m``W``_wready), .m_bvalid(m``W``_bvalid), \
    .m_rvalid(m``W``_rvalid), .m_rlast(m``W``_rlast), .m_wdata(m``W``_wdata), .m_wstrb(m``W``_wstrb), \
    .m_rdata(m``W``_rdata), .m_rresp(m``W``_rresp), .m_bresp(m``W``_bresp), .m_rid(m``W``_rid), .m_bid(m``W``_bid));

module traffic (
    input  logic clk, rst_n,
    output logic busy,
    `PORTS(32, 2),
    `PORTS(64, 4),
    `PORTS(128, 8),
    `PORTS(256, 1),
    `PORTS(512, 3)
);
  logic [4:0] goes, running;
  assign busy = running != 0;
  `ENGINE(32, 2, 0)
  `ENGINE(64, 4, 1)
  `ENGINE(128, 8, 2)
  `ENGINE(256, 1, 3)
  `ENGINE(512, 3, 4)
endmodule
