// Never settles once register 0 was written: a wire that is its own opposite.
module loop (
    input  logic        clk, rst_n,
    input  logic [11:0] s_axil_awaddr, s_axil_araddr,
    input  logic        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
    output logic        s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_bresp, s_axil_rresp
);
  logic swings, on;
  assign swings = on && !swings;
  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  assign {s_axil_awready, s_axil_wready} = {write, write};
  assign {s_axil_arready, s_axil_rvalid, s_axil_bresp, s_axil_rresp} = '0;
  assign s_axil_rdata = 32'(swings);
  always_ff @(posedge clk) begin
    on <= rst_n && (on || write);
    s_axil_bvalid <= rst_n && (write || s_axil_bvalid && !s_axil_bready);
  end
endmodule
