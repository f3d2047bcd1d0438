// Four registers behind AXI4-Lite: an identity, two scratch words, and a counter of writes.
module regs (
    input  logic        clk, rst_n,
    input  logic [11:0] s_axil_awaddr, s_axil_araddr,
    input  logic        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
    output logic        s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_bresp, s_axil_rresp
);
  logic [31:0] scratch[2], writes;

  // A write is taken when address and data are both there and the last answer is gone.
  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  wire read = s_axil_arvalid && !s_axil_rvalid;
  assign {s_axil_awready, s_axil_wready, s_axil_arready} = {write, write, read};

  always_ff @(posedge clk) begin
    if (write) begin
      for (int i = 0; i < 4; i++)
        if (s_axil_awaddr[11:3] == 1 && s_axil_wstrb[i]) scratch[s_axil_awaddr[2]][8*i+:8] <= s_axil_wdata[8*i+:8];
      s_axil_bresp <= s_axil_awaddr[11:4] == 0 ? 2'b00 : 2'b10;
      writes <= writes + 1;
    end
    if (read) begin
      s_axil_rdata <= s_axil_araddr[3:2] == 0 ? 32'h5e9_0001 : s_axil_araddr[3:2] == 1 ? writes : scratch[s_axil_araddr[2]];
      s_axil_rresp <= s_axil_araddr[11:4] == 0 ? 2'b00 : 2'b10;
    end
    s_axil_bvalid <= rst_n && (write || s_axil_bvalid && !s_axil_bready);
    s_axil_rvalid <= rst_n && (read || s_axil_rvalid && !s_axil_rready);
    if (!rst_n) begin
      writes  <= 0;
      scratch <= '{default: '0};
    end
  end
endmodule
