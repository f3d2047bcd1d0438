// Writes a burst of 64-bit words over AXI4, one burst at a time, and waits for the bus's answer (SPEC 6.7, WRITE_FAULTS).
//
// So whoever goes on after `done` comes behind it in memory (SPEC 7). After `clear`, a burst that is under way comes to its
// end, but the words that follow carry no strobe: they change nothing.
module bmu_portals_write (
    input  logic        aclk,
    input  logic        aresetn,    // low: reset of the bus, which forgets everything
    input  logic        clear,      // any reset
    input  logic        bus_master,

    input  logic        start,      // while `idle`
    input  logic [63:0] address,
    input  logic [4:0]  length,     // words, 1 to 16
    output logic        idle,
    output logic        take,       // `word` is taken, the next one comes in the next cycle
    input  logic [63:0] word,
    output logic        done,
    output logic        failed,

    output logic [63:0] m_axi_awaddr,
    output logic [7:0]  m_axi_awlen,
    output logic        m_axi_awvalid,
    input  logic        m_axi_awready,
    output logic [63:0] m_axi_wdata,
    output logic [7:0]  m_axi_wstrb,
    output logic        m_axi_wlast,
    output logic        m_axi_wvalid,
    input  logic        m_axi_wready,
    input  logic [1:0]  m_axi_bresp,
    input  logic        m_axi_bvalid,
    output logic        m_axi_bready
);
    logic       waits;   // for the answer
    logic       refused; // at once: the function may not use the bus
    logic       dropped; // a reset came meanwhile
    logic [4:0] left;    // words that are not taken

    wire moves    = left != 5'd0 & (~m_axi_wvalid | m_axi_wready);
    wire answered = m_axi_bvalid & m_axi_bready;

    assign idle         = ~waits & ~refused;
    assign take         = moves;
    assign m_axi_bready = waits;
    assign done         = refused | answered;
    assign failed       = refused | m_axi_bresp[1];

    always_ff @(posedge aclk) begin
        if (~aresetn) begin
            m_axi_awvalid <= 1'b0;
            m_axi_wvalid  <= 1'b0;
            waits         <= 1'b0;
            refused       <= 1'b0;
            dropped       <= 1'b0;
            left          <= 5'd0;
        end else begin
            refused <= start & ~bus_master & ~clear;
            if (start & bus_master & ~clear) begin
                m_axi_awvalid <= 1'b1;
                waits         <= 1'b1;
                left          <= length;
            end else begin
                if (m_axi_awready) m_axi_awvalid <= 1'b0;
                if (answered) waits <= 1'b0;
                if (moves) left <= left - 5'd1;
            end
            if (moves) m_axi_wvalid <= 1'b1;
            else if (m_axi_wready) m_axi_wvalid <= 1'b0;
            if (~waits | answered) dropped <= 1'b0;
            else if (clear) dropped <= 1'b1;
        end
    end

    always_ff @(posedge aclk) begin
        if (start) begin
            m_axi_awaddr <= address;
            m_axi_awlen  <= {4'd0, length[3:0] - 4'd1};
        end
        if (moves) begin
            m_axi_wdata <= word;
            m_axi_wstrb <= {8{~(clear | dropped)}};
            m_axi_wlast <= left == 5'd1;
        end
    end

    wire unused = m_axi_bresp[0];
endmodule
