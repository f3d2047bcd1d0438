// AXI4 masters whose ports are no AXI, each in one way that its prefix tells, and one AXI4-Lite slave of that kind. Nothing
// goes on at them.
`define READS(P, ADDR, LEN, SIZE, BURST, DATA, RESP, LAST) \
    output logic [ADDR-1:0]  P``araddr, \
    output logic [LEN-1:0]   P``arlen, \
    output logic [SIZE-1:0]  P``arsize, \
    output logic [BURST-1:0] P``arburst, \
    output logic             P``arvalid, P``rready, \
    input  logic             P``arready, P``rvalid, \
    input  logic [DATA-1:0]  P``rdata, \
    input  logic [RESP-1:0]  P``rresp, \
    input  logic [LAST-1:0]  P``rlast
`define WRITES(P, DATA, STRB, RESP, LAST) \
    output logic [63:0]     P``awaddr, \
    output logic            P``awvalid, P``wvalid, P``bready, \
    input  logic            P``awready, P``wready, P``bvalid, \
    output logic [DATA-1:0] P``wdata, \
    output logic [STRB-1:0] P``wstrb, \
    output logic [LAST-1:0] P``wlast, \
    input  logic [RESP-1:0] P``bresp

/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNDRIVEN */
module ports (
    input logic clk, rst_n,
    `READS(addr_, 65, 8, 3, 2, 64, 2, 1),
    `READS(len_, 64, 9, 3, 2, 64, 2, 1),
    `READS(size_, 64, 8, 4, 2, 64, 2, 1),
    `READS(burst_, 64, 8, 3, 1, 64, 2, 1),
    `READS(data_, 64, 8, 3, 2, 24, 2, 1),
    `READS(wide_, 64, 8, 3, 2, 1024, 2, 1),
    `READS(resp_, 64, 8, 3, 2, 64, 3, 1),
    `READS(last_, 64, 8, 3, 2, 64, 2, 2),
    `READS(id_, 64, 8, 3, 2, 64, 2, 1),
    output logic [32:0] id_arid,
    input  logic [32:0] id_rid,
    `READS(rid_, 64, 8, 3, 2, 64, 2, 1),
    output logic [3:0] rid_arid,
    input  logic [2:0] rid_rid,
    `READS(norid_, 64, 8, 3, 2, 64, 2, 1),
    output logic [3:0] norid_arid,
    `WRITES(wstrb_, 64, 7, 2, 1),
    `WRITES(wlast_, 64, 8, 2, 2),
    `WRITES(bresp_, 64, 8, 1, 1),
    `WRITES(bid_, 64, 8, 2, 1),
    output logic [3:0] bid_awid,
    input  logic [4:0] bid_bid,
    `WRITES(noawid_, 64, 8, 2, 1),
    input  logic [3:0] noawid_bid,
    // AXI3, which has less and means the same
    `READS(axi3_, 32, 4, 3, 2, 64, 2, 1),
    output logic [3:0] axi3_arid,
    input  logic [3:0] axi3_rid,

    input  logic [11:0] s_awaddr, s_araddr,
    input  logic        s_awvalid, s_wvalid, s_bready, s_arvalid, s_rready,
    output logic        s_awready, s_wready, s_bvalid, s_arready, s_rvalid,
    input  logic [31:0] s_wdata,
    input  logic [3:0]  s_wstrb,
    output logic [31:0] s_rdata,
    output logic [1:0]  s_bresp, s_rresp,
    input  logic [11:0] slave_awaddr, slave_araddr,
    input  logic        slave_awvalid, slave_wvalid, slave_bready, slave_arvalid, slave_rready,
    output logic        slave_awready, slave_wready, slave_bvalid, slave_arready, slave_rvalid,
    input  logic [31:0] slave_wdata,
    input  logic [3:0]  slave_wstrb,
    output logic [31:0] slave_rdata,
    output logic        slave_bresp, slave_rresp
);
endmodule
