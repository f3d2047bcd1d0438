// Words that a file beside the design's gives it.
module rom (
    input  logic        clk, rst_n,
    input  logic [11:0] s_axil_awaddr, s_axil_araddr,
    input  logic        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
    output logic        s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_bresp, s_axil_rresp
);
  logic [31:0] words[2];
  initial $readmemh("rom.hex", words);
  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  wire read = s_axil_arvalid && !s_axil_rvalid;
  assign {s_axil_awready, s_axil_wready, s_axil_arready} = {write, write, read};
  assign {s_axil_bresp, s_axil_rresp} = '0;
  always_ff @(posedge clk) begin
    if (read) s_axil_rdata <= words[s_axil_araddr[2]];
    s_axil_bvalid <= rst_n && (write || s_axil_bvalid && !s_axil_bready);
    s_axil_rvalid <= rst_n && (read || s_axil_rvalid && !s_axil_rready);
  end
endmodule
