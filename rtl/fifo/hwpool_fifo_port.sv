// AXI4-Lite slave of 32 bits: one access after another, in the order in which they arrive (SPEC 2, 4.5).
//
// Each channel has a register of one entry, so nothing here answers in the cycle in which it is asked, and no output follows
// an input within a cycle. A write arrives with the first of its two halves; of a read and a write that arrive in the same
// cycle, the write is the earlier one. A read may so wait for at most one write, and a write for at most one read.
module hwpool_fifo_port (
    input  logic        aclk,
    input  logic        aresetn,

    input  logic [11:0] s_axil_awaddr,
    input  logic        s_axil_awvalid,
    output logic        s_axil_awready,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    input  logic        s_axil_wvalid,
    output logic        s_axil_wready,
    output logic        s_axil_bvalid,
    input  logic        s_axil_bready,
    input  logic [11:0] s_axil_araddr,
    input  logic        s_axil_arvalid,
    output logic        s_axil_arready,
    output logic [31:0] s_axil_rdata,
    output logic        s_axil_rvalid,
    input  logic        s_axil_rready,

    // An access of 32 bits, in this cycle; never two in the same cycle, nor in two that follow each other.
    output logic        write,
    output logic        read,
    output logic [11:0] offset,
    output logic [31:0] write_data,
    // What a read gives, from the cycle after `read` on, until the next one.
    input  logic [31:0] read_data
);
    logic        aw_held, w_held, ar_held;
    logic [11:0] aw_address, ar_address;
    logic [3:0]  w_strobe;
    logic        read_is_older; // than a write that waits beside it
    logic        settles;       // the cycle after an access, in which memories answer

    wire write_waits   = aw_held | w_held;
    wire write_arrives = (s_axil_awvalid & s_axil_awready) | (s_axil_wvalid & s_axil_wready);
    wire read_arrives  = s_axil_arvalid & s_axil_arready;
    wire write_goes = aw_held & w_held & ~(ar_held & read_is_older) & ~settles & ~s_axil_bvalid;
    wire read_goes  = ar_held & (read_is_older | ~write_waits) & ~settles & ~s_axil_rvalid;

    assign s_axil_awready = ~aw_held;
    assign s_axil_wready  = ~w_held;
    assign s_axil_arready = ~ar_held;

    // SPEC 2: a write of some bytes changes nothing. At an offset within a word, no register is.
    assign write  = write_goes & (w_strobe == 4'b1111);
    assign read   = read_goes;
    assign offset = read_goes ? ar_address : aw_address;
    assign s_axil_rdata = read_data;

    always_ff @(posedge aclk) begin
        if (~aresetn) begin
            aw_held       <= 1'b0;
            w_held        <= 1'b0;
            ar_held       <= 1'b0;
            read_is_older <= 1'b0;
            settles       <= 1'b0;
            s_axil_bvalid <= 1'b0;
            s_axil_rvalid <= 1'b0;
        end else begin
            aw_held <= aw_held ? ~write_goes : s_axil_awvalid;
            w_held  <= w_held  ? ~write_goes : s_axil_wvalid;
            ar_held <= ar_held ? ~read_goes  : s_axil_arvalid;
            settles <= write_goes | read_goes;
            if (write_goes) read_is_older <= 1'b1; // than the next one
            else if (read_arrives) read_is_older <= ~(write_waits | write_arrives);
            s_axil_bvalid <= s_axil_bvalid ? ~s_axil_bready : write_goes;
            s_axil_rvalid <= s_axil_rvalid ? ~s_axil_rready : read_goes;
        end
    end

    always_ff @(posedge aclk) begin
        if (~aw_held) aw_address <= s_axil_awaddr;
        if (~ar_held) ar_address <= s_axil_araddr;
        if (~w_held) begin
            write_data <= s_axil_wdata;
            w_strobe   <= s_axil_wstrb;
        end
    end
endmodule
