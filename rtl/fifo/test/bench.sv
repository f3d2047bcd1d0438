// The FIFO with the rules of its port beside it, for main.cpp.
module bench #(
    parameter int unsigned DEPTH = 1024,
    parameter int unsigned WATCH = 0
) (
    input  logic        aclk, por_n, aresetn, flr,
    input  logic [11:0] awaddr,
    input  logic        awvalid,
    output logic        awready,
    input  logic [31:0] wdata,
    input  logic [3:0]  wstrb,
    input  logic        wvalid,
    output logic        wready,
    output logic [1:0]  bresp,
    output logic        bvalid,
    input  logic        bready,
    input  logic [11:0] araddr,
    input  logic        arvalid,
    output logic        arready,
    output logic [31:0] rdata,
    output logic [1:0]  rresp,
    output logic        rvalid,
    input  logic        rready,
    output logic        irq_valid,
    input  logic        irq_ready,
    output logic        double_push
);
    hwpool_fifo #(.DEPTH(DEPTH), .WATCH(WATCH)) fifo (
        .aclk, .por_n, .aresetn, .flr,
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'd0), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(wstrb), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
        .s_axil_araddr(araddr), .s_axil_arprot(3'd0), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
        .irq_valid, .irq_ready, .double_push
    );

    /* verilator lint_off PINCONNECTEMPTY */
    axil_check check (
        .aclk, .aresetn(aresetn & por_n), .awaddr, .awvalid, .awready, .wdata, .wstrb, .wvalid, .wready,
        .bresp, .bvalid, .bready, .araddr, .arvalid, .arready, .rdata, .rresp, .rvalid, .rready,
        .aw_open(), .w_open(), .ar_open()
    );
    /* verilator lint_on PINCONNECTEMPTY */
endmodule
