// The BMU between registers: a part has fewer pins than it has ports, and so nextpnr sees the ways to and from them as well.
//
// What comes in passes a row of registers behind one pin, what goes out is mixed into a row before another, so nothing is dropped.
module place #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned PORTALS = 0,
    parameter int unsigned VECTORS = 8,
    parameter int unsigned BUFFERS = 1024,
    parameter int unsigned WIDTH = 48
) (
    input  logic aclk,
    input  logic pin_in,
    output logic pin_out
);
    logic               por_n, aresetn, flr, bus_master, busy;
    logic [15:0]        s_axil_awaddr, s_axil_araddr;
    logic [18:0]        s_axip_awaddr, s_axip_araddr;
    logic [2:0]         s_axil_awprot, s_axil_arprot, s_axip_awprot, s_axip_arprot;
    logic [31:0]        s_axil_wdata, s_axil_rdata, s_axip_wdata, s_axip_rdata;
    logic [3:0]         s_axil_wstrb, s_axip_wstrb;
    logic [1:0]         s_axil_bresp, s_axil_rresp, s_axip_bresp, s_axip_rresp;
    logic               s_axil_awvalid, s_axil_wvalid, s_axil_bvalid, s_axil_arvalid, s_axil_rvalid;
    logic               s_axil_awready, s_axil_wready, s_axil_bready, s_axil_arready, s_axil_rready;
    logic               s_axip_awvalid, s_axip_wvalid, s_axip_bvalid, s_axip_arvalid, s_axip_rvalid;
    logic               s_axip_awready, s_axip_wready, s_axip_bready, s_axip_arready, s_axip_rready;
    logic [63:0]        m_axi_awaddr, m_axi_wdata, m_axi_araddr, m_axi_rdata;
    logic [7:0]         m_axi_awlen, m_axi_wstrb, m_axi_arlen;
    logic [2:0]         m_axi_awsize, m_axi_arsize;
    logic [1:0]         m_axi_awburst, m_axi_bresp, m_axi_arburst, m_axi_rresp;
    logic               m_axi_awvalid, m_axi_wlast, m_axi_wvalid, m_axi_bvalid, m_axi_arvalid, m_axi_rlast, m_axi_rvalid;
    logic               m_axi_awready, m_axi_wready, m_axi_bready, m_axi_arready, m_axi_rready;
    logic [VECTORS-1:0] irq_valid, irq_ready;

    localparam int unsigned INS = 4 + 2 * (6 + 32 + 4 + 5) + 2 * 16 + 2 * 19 + 1 + 1 + 3 + 1 + 64 + 4 + VECTORS;
    localparam int unsigned OUTS = 2 * (4 + 32 + 5) + 3 * 64 + 3 * 8 + 2 * 3 + 2 * 2 + 6 + VECTORS + 1;
    logic [INS-1:0]  ins;
    logic [OUTS-1:0] outs, taken, mixed;

    assign {
        por_n, aresetn, flr, bus_master, s_axil_awaddr, s_axil_araddr, s_axip_awaddr, s_axip_araddr,
        s_axil_awprot, s_axil_arprot, s_axip_awprot, s_axip_arprot, s_axil_wdata, s_axip_wdata, s_axil_wstrb, s_axip_wstrb,
        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
        s_axip_awvalid, s_axip_wvalid, s_axip_bready, s_axip_arvalid, s_axip_rready,
        m_axi_awready, m_axi_wready, m_axi_bresp, m_axi_bvalid, m_axi_arready, m_axi_rdata, m_axi_rresp, m_axi_rlast,
        m_axi_rvalid, irq_ready
    } = ins;
    assign outs = {
        s_axil_awready, s_axil_wready, s_axil_bresp, s_axil_bvalid, s_axil_arready, s_axil_rdata, s_axil_rresp, s_axil_rvalid,
        s_axip_awready, s_axip_wready, s_axip_bresp, s_axip_bvalid, s_axip_arready, s_axip_rdata, s_axip_rresp, s_axip_rvalid,
        m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst, m_axi_awvalid, m_axi_wdata, m_axi_wstrb, m_axi_wlast,
        m_axi_wvalid, m_axi_bready, m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst, m_axi_arvalid, m_axi_rready,
        irq_valid, busy
    };

    always_ff @(posedge aclk) begin
        ins     <= {ins[INS-2:0], pin_in};
        taken   <= outs;
        mixed   <= {mixed[OUTS-2:0], mixed[OUTS-1]} ^ taken;
        pin_out <= mixed[OUTS-1];
    end

    bmu_top #(.POOLS(POOLS), .PORTALS(PORTALS), .VECTORS(VECTORS), .BUFFERS(BUFFERS), .WIDTH(WIDTH)) bmu (.*);
endmodule
