// Breaks one rule of AXI after the other. A write to register 0 says which: below 16 at the slave, from the next access
// on; from 16 on at the master, at once. `fault` survives resets, so that they too can go wrong.
module bad (
    input  logic        clk, rst_n,
    input  logic [11:0] s_axil_awaddr, s_axil_araddr,
    input  logic        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
    output logic        s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_bresp, s_axil_rresp,
    output logic [63:0] m_axi_araddr, m_axi_awaddr,
    output logic [7:0]  m_axi_arlen, m_axi_awlen,
    output logic [2:0]  m_axi_arsize, m_axi_awsize,
    output logic [1:0]  m_axi_arburst, m_axi_awburst,
    output logic        m_axi_arvalid, m_axi_awvalid, m_axi_wvalid, m_axi_wlast, m_axi_bready, m_axi_rready,
    input  logic        m_axi_arready, m_axi_awready, m_axi_wready, m_axi_bvalid, m_axi_rvalid, m_axi_rlast,
    output logic [63:0] m_axi_wdata,
    output logic [7:0]  m_axi_wstrb,
    input  logic [63:0] m_axi_rdata,
    input  logic [1:0]  m_axi_rresp, m_axi_bresp
);
  logic [7:0]  fault;
  logic [31:0] ticks;
  always_ff @(posedge clk) ticks <= ticks + 1;

  // ---- slave ----
  logic bvalid, rvalid, aw_only;
  wire take_aw = s_axil_awvalid && !bvalid && (s_axil_wvalid || fault == 3);
  wire take_w = s_axil_wvalid && !bvalid && s_axil_awvalid;
  wire take_ar = s_axil_arvalid && !rvalid;
  assign {s_axil_awready, s_axil_wready, s_axil_arready} = {take_aw, take_w, take_ar};
  assign s_axil_bvalid = bvalid;
  assign s_axil_rvalid = fault == 7 ? take_ar : rvalid;
  assign s_axil_rdata = fault == 2 ? ticks : 32'(fault);
  assign s_axil_rresp = fault == 5 ? 2'b01 : 2'b00;
  assign s_axil_bresp = '0;
  always_ff @(posedge clk) begin
    if (take_w && s_axil_awaddr == 0) fault <= s_axil_wdata[7:0];
    bvalid <= rst_n && (take_aw || bvalid && !s_axil_bready);
    rvalid <= fault == 4 && !rst_n || rst_n && (take_ar && fault != 6 || rvalid && !s_axil_rready && fault != 1);
  end

  // ---- master ----
  logic        ar, aw, w, up;
  logic [7:0]  beat;
  wire start = take_w && s_axil_awaddr == 0 && s_axil_wdata[7:0] >= 16;
  wire [7:0] code = start ? s_axil_wdata[7:0] : fault;
  wire reads = code inside {16, 17, 18, 19, 20, 21, 22, 26, 29};
  assign m_axi_araddr = fault == 18 ? 64'h1ff8 : fault == 22 ? 64'h1004 : fault == 17 ? {51'd1, ticks[8:0], 4'd0} : 64'h1000;
  assign m_axi_arlen = fault == 21 ? 8'd2 : fault == 29 ? 8'd16 : 8'd1;
  assign m_axi_arsize = fault == 19 ? 3'd4 : 3'd3;
  assign m_axi_arburst = fault == 20 ? 2'd3 : fault inside {21, 22} ? 2'd2 : fault == 29 ? 2'd0 : 2'd1;
  assign m_axi_arvalid = ar && !(fault == 16 && up);
  assign m_axi_rready = fault != 26;
  assign m_axi_awaddr = 64'h1000;
  assign m_axi_awlen = 8'd1;
  assign m_axi_awsize = fault == 25 ? 3'd2 : 3'd3;
  assign m_axi_awburst = 2'd1;
  assign m_axi_awvalid = aw && fault != 30 || fault == 28 && !rst_n;
  assign m_axi_wvalid = w && fault != 27;
  assign m_axi_wdata = fault == 31 ? 64'(ticks) : 64'h55;
  assign m_axi_wstrb = '1;
  assign m_axi_wlast = fault == 23 ? beat == 0 : fault == 24 ? 1'b0 : beat == 1;
  assign m_axi_bready = fault != 32;
  always_ff @(posedge clk) begin
    up <= m_axi_arvalid && !m_axi_arready;
    if (start) {ar, aw, w, beat} <= {reads, !reads, !reads, 8'd0};
    if (m_axi_arvalid && m_axi_arready) ar <= 0;
    if (m_axi_awvalid && m_axi_awready) aw <= 0;
    if (m_axi_wvalid && m_axi_wready) begin
      beat <= beat + 1;
      if (beat == 1) w <= 0;
    end
    if (!rst_n) {ar, aw, w, up, beat} <= '0;
    if (code == 40 && start) $finish;
    if (code == 41 && start) $error("register 0 was told to fail");
  end
endmodule
