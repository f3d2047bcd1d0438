// A copy engine: reads LEN bytes from SOURCE, a burst at a time, and writes them to TARGET; then it asks for an interrupt.
//
//   0x00 SOURCE 64   0x08 TARGET 64   0x10 LEN 32, bytes, a multiple of 8   0x14 START 32, write 1
//   0x18 STATUS 32: bit 0 busy, 1 done, 2 a read failed, 3 a write failed; writing 1 to bit 1 clears it and the interrupt
//
// Bursts end at borders of 128 bytes, so that none crosses one of 4 KiB.
module copy (
    input  logic        clk, rst_n,
    // AXI4-Lite, 64 bits
    input  logic [11:0] s_axil_awaddr, s_axil_araddr,
    input  logic        s_axil_awvalid, s_axil_wvalid, s_axil_bready, s_axil_arvalid, s_axil_rready,
    output logic        s_axil_awready, s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid,
    input  logic [63:0] s_axil_wdata,
    input  logic [7:0]  s_axil_wstrb,
    output logic [63:0] s_axil_rdata,
    output logic [1:0]  s_axil_bresp, s_axil_rresp,
    // AXI4, 64 bits
    output logic [3:0]  m_axi_arid, m_axi_awid,
    output logic [63:0] m_axi_araddr, m_axi_awaddr,
    output logic [7:0]  m_axi_arlen, m_axi_awlen,
    output logic [2:0]  m_axi_arsize, m_axi_awsize,
    output logic [1:0]  m_axi_arburst, m_axi_awburst,
    output logic        m_axi_arvalid, m_axi_awvalid, m_axi_wvalid, m_axi_wlast, m_axi_bready, m_axi_rready,
    input  logic        m_axi_arready, m_axi_awready, m_axi_wready, m_axi_bvalid, m_axi_rvalid, m_axi_rlast,
    output logic [63:0] m_axi_wdata,
    output logic [7:0]  m_axi_wstrb,
    input  logic [63:0] m_axi_rdata,
    input  logic [1:0]  m_axi_rresp, m_axi_bresp,
    input  logic [3:0]  m_axi_rid, m_axi_bid,
    output logic        irq
);
  logic [63:0] source, target;
  logic [31:0] left;
  logic        done, read_failed, write_failed;

  typedef enum logic [2:0] {IDLE, ASK, READ, WRITE, ANSWER} state_t;
  state_t state;
  wire busy = state != IDLE;
  assign irq = done;

  // ---- registers ----
  wire write = s_axil_awvalid && s_axil_wvalid && !s_axil_bvalid;
  wire read = s_axil_arvalid && !s_axil_rvalid;
  assign {s_axil_awready, s_axil_wready, s_axil_arready} = {write, write, read};
  assign {s_axil_bresp, s_axil_rresp} = '0;
  wire start = write && s_axil_awaddr[11:3] == 2 && s_axil_wstrb[4] && s_axil_wdata[32];
  wire clear = write && s_axil_awaddr[11:3] == 3 && s_axil_wstrb[0] && s_axil_wdata[1];

  // ---- one burst at a time, in a buffer of 16 words ----
  logic [63:0] buffer[16];
  logic [3:0]  beat, last;
  logic        asked, sent;
  wire [4:0] to_border_s = 16 - source[6:3], to_border_t = 16 - target[6:3];
  wire [4:0] room = to_border_s < to_border_t ? to_border_s : to_border_t;
  wire [4:0] words = left[31:3] < 29'(room) ? left[7:3] : room;

  assign {m_axi_arid, m_axi_awid} = '0;
  assign {m_axi_arsize, m_axi_awsize} = {3'd3, 3'd3};
  assign {m_axi_arburst, m_axi_awburst} = {2'd1, 2'd1};
  assign {m_axi_araddr, m_axi_awaddr} = {source, target};
  assign {m_axi_arlen, m_axi_awlen} = {8'(last), 8'(last)};
  assign m_axi_arvalid = state == READ && !asked;
  assign m_axi_rready = state == READ;
  assign m_axi_awvalid = state == WRITE && !asked;
  assign m_axi_wvalid = state == WRITE && !sent;
  assign m_axi_wdata = buffer[beat];
  assign m_axi_wstrb = '1;
  assign m_axi_wlast = beat == last;
  assign m_axi_bready = state == ANSWER;

  always_ff @(posedge clk) begin
    if (write && !busy && s_axil_awaddr[11:3] == 0) source <= s_axil_wdata;
    if (write && !busy && s_axil_awaddr[11:3] == 1) target <= s_axil_wdata;
    if (write && !busy && s_axil_awaddr[11:3] == 2 && s_axil_wstrb[0]) left <= s_axil_wdata[31:0];
    if (clear) {done, read_failed, write_failed} <= '0;
    if (read)
      case (s_axil_araddr[11:3])
        0: s_axil_rdata <= source;
        1: s_axil_rdata <= target;
        2: s_axil_rdata <= 64'(left);
        3: s_axil_rdata <= 64'({write_failed, read_failed, done, busy});
        default: s_axil_rdata <= '0;
      endcase
    s_axil_bvalid <= write || s_axil_bvalid && !s_axil_bready;
    s_axil_rvalid <= read || s_axil_rvalid && !s_axil_rready;

    case (state)
      IDLE: if (start) state <= ASK;
      ASK: begin
        {asked, sent, beat, last} <= {1'b0, 1'b0, 4'd0, 4'(words - 5'd1)};
        state <= READ;
        if (words == 0) begin
          state <= IDLE;
          done  <= 1;
        end
      end
      READ: begin
        if (m_axi_arready && m_axi_arvalid) asked <= 1;
        if (m_axi_rvalid) begin
          buffer[beat] <= m_axi_rdata;
          beat <= beat + 1;
          if (m_axi_rresp != 0) read_failed <= 1;
          if (m_axi_rlast) begin
            {asked, beat} <= '0;
            state <= WRITE;
            if (read_failed || m_axi_rresp != 0) begin
              state <= IDLE;
              done  <= 1;
            end
          end
        end
      end
      WRITE: begin
        if (m_axi_awready && m_axi_awvalid) asked <= 1;
        if (m_axi_wready && m_axi_wvalid) begin
          beat <= beat + 1;
          if (m_axi_wlast) sent <= 1;
        end
        if ((asked || m_axi_awready) && (sent || m_axi_wready && m_axi_wlast)) state <= ANSWER;
      end
      ANSWER: if (m_axi_bvalid) begin
        source <= source + 8 * (64'(last) + 1);
        target <= target + 8 * (64'(last) + 1);
        left   <= left - 8 * (32'(last) + 1);
        state  <= ASK;
        if (m_axi_bresp != 0) begin
          write_failed <= 1;
          state <= IDLE;
          done  <= 1;
        end
      end
      default: state <= IDLE;
    endcase

    if (!rst_n) begin
      state <= IDLE;
      {done, read_failed, write_failed, s_axil_bvalid, s_axil_rvalid, asked, sent} <= '0;
      {source, target, left} <= '0;
    end
  end
endmodule
