// Reads a burst of 64-bit words over AXI4, one burst at a time (SPEC 6.7).
//
// Who asks has room for all of it. `done` comes with the last word, or, where the bus may not be used, alone; `failed` with
// `done` says that some of it was refused. After `clear`, what is under way comes to its end, and nobody listens.
module bmu_portals_read (
    input  logic        aclk,
    input  logic        aresetn,    // low: reset of the bus, which forgets everything
    input  logic        clear,      // any reset
    input  logic        bus_master,

    input  logic        start,      // while `idle`
    input  logic [63:0] address,
    input  logic [4:0]  length,     // words, 1 to 16
    output logic        idle,
    output logic        word_valid,
    output logic [63:0] word,
    output logic        done,
    output logic        failed,

    output logic [63:0] m_axi_araddr,
    output logic [7:0]  m_axi_arlen,
    output logic        m_axi_arvalid,
    input  logic        m_axi_arready,
    input  logic [63:0] m_axi_rdata,
    input  logic [1:0]  m_axi_rresp,
    input  logic        m_axi_rlast,
    input  logic        m_axi_rvalid,
    output logic        m_axi_rready
);
    logic waits;   // for words
    logic refused; // at once: the function may not use the bus
    logic bad;     // a word of this burst was refused

    wire arrives = m_axi_rvalid & m_axi_rready;
    wire last    = arrives & m_axi_rlast;

    assign idle         = ~waits & ~refused;
    assign m_axi_rready = waits;
    assign word_valid   = arrives;
    assign word         = m_axi_rdata;
    assign done         = refused | last;
    assign failed       = refused | bad | m_axi_rresp[1];

    always_ff @(posedge aclk) begin
        if (~aresetn) begin
            m_axi_arvalid <= 1'b0;
            waits         <= 1'b0;
            refused       <= 1'b0;
        end else begin
            refused <= start & ~bus_master & ~clear;
            if (start & bus_master & ~clear) begin
                m_axi_arvalid <= 1'b1;
                waits         <= 1'b1;
            end else begin
                if (m_axi_arready) m_axi_arvalid <= 1'b0;
                if (last) waits <= 1'b0;
            end
        end
    end

    always_ff @(posedge aclk) begin
        if (start) begin
            m_axi_araddr <= address;
            m_axi_arlen  <= {4'd0, length[3:0] - 4'd1};
            bad          <= 1'b0;
        end else if (arrives & m_axi_rresp[1]) bad <= 1'b1;
    end

    // 16 words are 0 of these bits, less one 15.
    wire unused = length[4] ^ m_axi_rresp[0];
endmodule
