// Interrupt requests of two kinds, and a reset of the function that is not the one at power-up.
//   0x0 writing N: N cycles of the pulse   0x4 writing N: N messages by handshake   0x8 reads: FLRs since power-up
//   0xc writing N: N messages by another handshake, whose acknowledgement is a bit beside others
module lines (
    input  logic        clk, por_n, flr, ack,
    input  logic [3:0]  acks,
    input  logic [11:0] s_axil_awaddr, s_axil_araddr,
    input  logic        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
    output logic        s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_bresp, s_axil_rresp,
    output logic [3:0]  irqs
);
  logic [31:0] pulses, messages, others, flrs;
  logic was;
  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  wire read = s_axil_arvalid && !s_axil_rvalid;
  assign {s_axil_awready, s_axil_wready, s_axil_arready} = {write, write, read};
  assign {s_axil_bresp, s_axil_rresp} = '0;
  assign irqs = {others != 0, messages != 0, pulses != 0, 1'b0};
  always_ff @(posedge clk) begin
    was <= flr;
    if (flr && !was) flrs <= flrs + 1;
    pulses   <= write && s_axil_awaddr == 0 ? s_axil_wdata : pulses - 32'(pulses != 0);
    messages <= write && s_axil_awaddr == 4 ? s_axil_wdata : messages - 32'(messages != 0 && ack);
    others   <= write && s_axil_awaddr == 12 ? s_axil_wdata : others - 32'(others != 0 && acks == 4'b1000);
    if (read) s_axil_rdata <= s_axil_araddr == 8 ? flrs : messages;
    s_axil_bvalid <= por_n && (write || s_axil_bvalid && !s_axil_bready);
    s_axil_rvalid <= por_n && (read || s_axil_rvalid && !s_axil_rready);
    if (flr || !por_n) {pulses, messages, others} <= '0;
    if (!por_n) flrs <= 0;
  end
endmodule
