// FIFO, the small free list: the device of devices/src/fifo/SPEC.md, version 1.0, behind an AXI4-Lite port.
//
// README.md says how to join it to a PCI function. "SPEC" with a number is a section of that text, wherever it stands here.
module hwpool_fifo #(
    // Numbers that the queue holds, 1 to 2^24 (SPEC 3).
    parameter int unsigned DEPTH = 1024,
    // 1: double_push tells a number that is pushed while it is in the queue. A reset then takes DEPTH cycles, which must be
    // less than the 10 ms of SPEC 6.
    parameter int unsigned WATCH = 0
) (
    input  logic        aclk,
    input  logic        por_n,       // low: power-up, the reset that RESET_COUNT does not survive
    input  logic        aresetn,     // low: reset of the bus and of the function
    input  logic        flr,         // high: reset of the function alone; the port goes on and answers

    input  logic [11:0] s_axil_awaddr,
    input  logic [2:0]  s_axil_awprot,
    input  logic        s_axil_awvalid,
    output logic        s_axil_awready,
    input  logic [31:0] s_axil_wdata,
    input  logic [3:0]  s_axil_wstrb,
    input  logic        s_axil_wvalid,
    output logic        s_axil_wready,
    output logic [1:0]  s_axil_bresp,
    output logic        s_axil_bvalid,
    input  logic        s_axil_bready,
    input  logic [11:0] s_axil_araddr,
    input  logic [2:0]  s_axil_arprot,
    input  logic        s_axil_arvalid,
    output logic        s_axil_arready,
    output logic [31:0] s_axil_rdata,
    output logic [1:0]  s_axil_rresp,
    output logic        s_axil_rvalid,
    input  logic        s_axil_rready,

    output logic        irq_valid,   // a message of vector 0, until it is taken
    input  logic        irq_ready,
    output logic        double_push  // for one cycle; for a logic analyser or a simulation
);
    localparam int unsigned BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
    localparam int unsigned LEVEL_BITS = $clog2(DEPTH + 1);

    if (DEPTH < 1 || DEPTH > 2 ** 24) begin : g_depth
        $error("hwpool_fifo: DEPTH must be 1 to 2^24 (SPEC 3)");
    end

    logic                  write, read, outside, clear, ready, swept, soft_reset;
    logic [11:0]           offset;
    logic [31:0]           write_data, read_data;
    logic                  push, pop, empty, full;
    logic [BITS-1:0]       number, popped;
    logic [LEVEL_BITS-1:0] level;
    logic                  happens, cleared, enabled, enables, low;
    logic [30:0]           reset_count;

    // SPEC 2 knows no access that fails.
    assign s_axil_bresp = 2'b00;
    assign s_axil_rresp = 2'b00;

    hwpool_fifo_port port (
        .aclk, .aresetn(aresetn & por_n),
        .s_axil_awaddr, .s_axil_awvalid, .s_axil_awready,
        .s_axil_wdata, .s_axil_wstrb, .s_axil_wvalid, .s_axil_wready,
        .s_axil_bvalid, .s_axil_bready,
        .s_axil_araddr, .s_axil_arvalid, .s_axil_arready,
        .s_axil_rdata, .s_axil_rvalid, .s_axil_rready,
        .write, .read, .offset, .write_data, .read_data
    );

    hwpool_fifo_reset resets (
        .aclk, .por_n, .aresetn, .flr, .soft_reset, .swept, .outside, .clear, .ready, .count(reset_count)
    );

    hwpool_fifo_regs #(.DEPTH(DEPTH)) regs (
        .aclk, .clear, .works(ready & ~outside),
        .write, .read, .offset, .write_data, .read_data,
        .push, .number, .pop, .popped, .level, .empty, .full,
        .happens, .cleared, .enabled, .enables, .low,
        .soft_reset, .reset_count
    );

    hwpool_fifo_queue #(.DEPTH(DEPTH)) queue (
        .aclk, .clear, .push, .number, .pop, .popped, .level, .empty, .full
    );

    hwpool_fifo_irq irq (
        .aclk, .clear, .drop(outside), .happens, .cleared, .enabled, .enables, .low, .irq_valid, .irq_ready
    );

    if (WATCH != 0) begin : g_watch
        hwpool_fifo_watch #(.DEPTH(DEPTH)) watch (
            .aclk, .clear, .sweep(~ready), .swept, .push, .number, .pop, .popped, .double_push
        );
    end else begin : g_no_watch
        assign swept       = 1'b1;
        assign double_push = 1'b0;
    end

    wire unused = &{s_axil_awprot, s_axil_arprot};
endmodule
