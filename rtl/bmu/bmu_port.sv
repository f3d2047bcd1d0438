// AXI4-Lite slave of 32 bits: one access after another, in the order in which they arrive (SPEC 2, 7).
//
// An access is chosen, shown until `done`, and answered in the cycle after it. A write arrives with the first of its two halves; of a
// read and a write that arrive in the same cycle, the write is the earlier one. What is no whole aligned word has no register:
// the port answers it by itself.
module bmu_port #(
    parameter int unsigned BITS = 16 // of an address
) (
    input  logic            aclk,
    input  logic            aresetn,

    input  logic [BITS-1:0] awaddr,
    input  logic            awvalid,
    output logic            awready,
    input  logic [31:0]     wdata,
    input  logic [3:0]      wstrb,
    input  logic            wvalid,
    output logic            wready,
    output logic            bvalid,
    input  logic            bready,
    input  logic [BITS-1:0] araddr,
    input  logic            arvalid,
    output logic            arready,
    output logic [31:0]     rdata,
    output logic            rvalid,
    input  logic            rready,

    output logic            valid,  // an access, held until `done`
    output logic            write,
    output logic [BITS-1:0] offset,
    output logic [31:0]     data,   // that is written
    input  logic            done,
    input  logic [31:0]     answer  // what a read gives, with `done`
);
    logic            aw_held, w_held, ar_held;
    logic [BITS-1:0] aw_address, ar_address;
    logic [3:0]      w_strobe;
    logic            read_is_older; // than a write that waits beside it
    logic            chosen;        // `write` and `offset` are those of the access that is next

    wire write_waits   = aw_held | w_held;
    wire write_arrives = (awvalid & awready) | (wvalid & wready);
    wire read_arrives  = arvalid & arready;
    wire write_may = aw_held & w_held & ~(ar_held & read_is_older) & ~bvalid;
    wire read_may  = ar_held & read_is_older & ~rvalid;
    wire is_word   = offset[1:0] == 2'b00 & (~write | w_strobe == 4'b1111);
    wire goes      = chosen & (done | ~is_word);

    assign awready = ~aw_held;
    assign wready  = ~w_held;
    assign arready = ~ar_held;
    assign valid   = chosen & is_word;

    always_ff @(posedge aclk) begin
        if (~aresetn) begin
            aw_held       <= 1'b0;
            w_held        <= 1'b0;
            ar_held       <= 1'b0;
            read_is_older <= 1'b0;
            chosen        <= 1'b0;
            bvalid        <= 1'b0;
            rvalid        <= 1'b0;
        end else begin
            aw_held <= aw_held ? ~(goes & write) : awvalid;
            w_held  <= w_held ? ~(goes & write) : wvalid;
            ar_held <= ar_held ? ~(goes & ~write) : arvalid;
            chosen  <= chosen ? ~goes : write_may | read_may;
            if (goes & write) read_is_older <= 1'b1; // than the next one
            else if (read_arrives) read_is_older <= ~(write_waits | write_arrives);
            bvalid <= bvalid ? ~bready : goes & write;
            rvalid <= rvalid ? ~rready : goes & ~write;
        end
    end

    always_ff @(posedge aclk) begin
        if (~aw_held) aw_address <= awaddr;
        if (~ar_held) ar_address <= araddr;
        if (~w_held) begin
            data     <= wdata;
            w_strobe <= wstrb;
        end
        if (~chosen) begin
            write  <= write_may;
            offset <= read_may ? ar_address : aw_address;
        end
        if (goes & ~write) rdata <= is_word ? answer : 32'd0;
    end
endmodule
