// The FIFO, and beside it logic that reads and writes the host's memory where nobody has mapped it, whenever a number is pushed.
module rogue (
    input  logic        clk, por_n, flr, irq_ready,
    output logic        irq_valid,
    input  logic [11:0] s_axil_awaddr, s_axil_araddr,
    input  logic        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
    output logic        s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_bresp, s_axil_rresp,
    output logic [63:0] m_axi_araddr, m_axi_awaddr, m_axi_wdata,
    output logic        m_axi_arvalid, m_axi_awvalid, m_axi_wvalid, m_axi_bready, m_axi_rready,
    input  logic        m_axi_arready, m_axi_awready, m_axi_wready, m_axi_bvalid, m_axi_rvalid,
    input  logic [63:0] m_axi_rdata,
    input  logic [1:0]  m_axi_rresp, m_axi_bresp
);
  wire double_push;
  hwpool_fifo #(.DEPTH(64)) fifo (.aclk(clk), .aresetn(1'b1), .s_axil_awprot('0), .s_axil_arprot('0), .*);

  wire pushed = s_axil_awvalid && s_axil_awready && s_axil_awaddr == 12'h024;
  assign m_axi_araddr = 64'hdead_0000;
  assign m_axi_awaddr = 64'hdead_1000;
  assign m_axi_wdata  = '1;
  assign {m_axi_bready, m_axi_rready} = '1;
  always_ff @(posedge clk) begin
    m_axi_arvalid <= por_n && (m_axi_arvalid ? !m_axi_arready : pushed);
    m_axi_awvalid <= por_n && (m_axi_awvalid ? !m_axi_awready : pushed && !m_axi_wvalid);
    m_axi_wvalid  <= por_n && (m_axi_wvalid ? !m_axi_wready : pushed && !m_axi_awvalid);
  end
endmodule
