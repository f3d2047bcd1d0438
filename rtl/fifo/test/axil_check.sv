// The rules of an AXI4-Lite port of 32 bits that can be seen at its pins (AMBA AXI, A3.2 and A3.3): of the slave, which are
// asserted, and of the master, which are assumed in a proof (`PROOF`) and asserted in a simulation.
`ifdef PROOF
`define MASTER assume
`else
`define MASTER assert
`endif
module axil_check #(
    parameter int unsigned BITS = 12 // of an address
) (
    input logic        aclk,
    input logic        aresetn,
    input logic [BITS-1:0] awaddr,
    input logic        awvalid, awready,
    input logic [31:0] wdata,
    input logic [3:0]  wstrb,
    input logic        wvalid, wready,
    input logic [1:0]  bresp,
    input logic        bvalid, bready,
    input logic [BITS-1:0] araddr,
    input logic        arvalid, arready,
    input logic [31:0] rdata,
    input logic [1:0]  rresp,
    input logic        rvalid, rready,
    // Addresses, data and reads that were taken and not answered.
    output logic [3:0] aw_open, w_open, ar_open
);
    // The cycle before: whether a channel waited, and with what.
    logic        after_reset, aw_waits, w_waits, b_waits, ar_waits, r_waits;
    logic [BITS-1:0] aw_was, ar_was;
    logic [35:0] w_was;
    logic [33:0] r_was;
    logic [1:0]  b_was;

    wire aw_taken = awvalid & awready;
    wire w_taken  = wvalid & wready;
    wire b_taken  = bvalid & bready;
    wire ar_taken = arvalid & arready;
    wire r_taken  = rvalid & rready;

    initial after_reset = 1'b1;
    initial {aw_waits, w_waits, b_waits, ar_waits, r_waits} = '0;
    initial {aw_open, w_open, ar_open} = '0;

    always_ff @(posedge aclk) begin
        after_reset <= ~aresetn;
        aw_waits <= aresetn & awvalid & ~awready;
        w_waits  <= aresetn & wvalid & ~wready;
        b_waits  <= aresetn & bvalid & ~bready;
        ar_waits <= aresetn & arvalid & ~arready;
        r_waits  <= aresetn & rvalid & ~rready;
        aw_was <= awaddr;
        w_was  <= {wdata, wstrb};
        b_was  <= bresp;
        ar_was <= araddr;
        r_was  <= {rdata, rresp};
        if (~aresetn) begin
            aw_open <= '0;
            w_open  <= '0;
            ar_open <= '0;
        end else begin
            aw_open <= aw_open + 4'(aw_taken) - 4'(b_taken);
            w_open  <= w_open + 4'(w_taken) - 4'(b_taken);
            ar_open <= ar_open + 4'(ar_taken) - 4'(r_taken);
        end
    end

    always_ff @(posedge aclk) begin
        if (~aresetn) begin
            aw_quiet_in_reset: `MASTER(~awvalid);
            w_quiet_in_reset:  `MASTER(~wvalid);
            ar_quiet_in_reset: `MASTER(~arvalid);
        end else begin
            aw_stays: `MASTER(~aw_waits | (awvalid & awaddr == aw_was));
            w_stays:  `MASTER(~w_waits | (wvalid & {wdata, wstrb} == w_was));
            ar_stays: `MASTER(~ar_waits | (arvalid & araddr == ar_was));
            b_stays:  assert (~b_waits | (bvalid & bresp == b_was));
            r_stays:  assert (~r_waits | (rvalid & {rdata, rresp} == r_was));
            b_has_address: assert (~bvalid | aw_open != 0);
            b_has_data:    assert (~bvalid | w_open != 0);
            r_has_address: assert (~rvalid | ar_open != 0);
            // What this port can hold: one that waits and one that is answered.
            few_open: assert (aw_open <= 2 & w_open <= 2 & ar_open <= 2);
            quiet_after_reset: assert (~after_reset | ~(bvalid | rvalid));
        end
    end
endmodule
