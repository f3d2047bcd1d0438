// The AXI4 side of the portals: for any bus that keeps to AXI, any resets, and whoever asks only while it is idle.
module bmu_portals_bus_proof (
    input logic        aclk, aresetn, clear, bus_master,
    input logic        read_start, write_start,
    input logic [63:0] read_address, write_address, word,
    input logic [4:0]  read_length, write_length,
    input logic        awready, wready, bvalid, arready, rvalid, rlast,
    input logic [1:0]  bresp, rresp,
    input logic [63:0] rdata
);
    logic        read_idle, read_valid, read_done, read_failed, write_idle, take, write_done, write_failed;
    logic [63:0] read_word, awaddr, wdata, araddr;
    logic [7:0]  awlen, wstrb, arlen;
    logic        awvalid, wvalid, wlast, bready, arvalid, rready;

    bmu_portals_read reads (
        .aclk, .aresetn, .clear, .bus_master, .start(read_start), .address(read_address), .length(read_length),
        .idle(read_idle), .word_valid(read_valid), .word(read_word), .done(read_done), .failed(read_failed),
        .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arvalid(arvalid), .m_axi_arready(arready),
        .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast), .m_axi_rvalid(rvalid), .m_axi_rready(rready)
    );
    bmu_portals_write writes (
        .aclk, .aresetn, .clear, .bus_master, .start(write_start), .address(write_address), .length(write_length),
        .idle(write_idle), .take, .word, .done(write_done), .failed(write_failed),
        .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awvalid(awvalid), .m_axi_awready(awready),
        .m_axi_wdata(wdata), .m_axi_wstrb(wstrb), .m_axi_wlast(wlast), .m_axi_wvalid(wvalid), .m_axi_wready(wready),
        .m_axi_bresp(bresp), .m_axi_bvalid(bvalid), .m_axi_bready(bready)
    );

    (* hierconn *) logic       \writes.waits , \writes.refused , \writes.dropped ;
    (* hierconn *) logic       \reads.waits , \reads.refused ;
    (* hierconn *) logic [4:0] \writes.left ;

    // A reset of the bus comes first, and each comes with one of the function.
    logic began = 1'b0, before_resets = 1'b1, before_clear = 1'b1, before_master = 1'b0;
    always_ff @(posedge aclk) {began, before_resets, before_clear, before_master} <= {1'b1, ~aresetn, clear, bus_master};
    always_comb begin
        if (!began) assume (~aresetn);
        if (~aresetn) assume (clear);
        if (read_start)  assume (read_idle & read_length >= 1 & read_length <= 16);
        if (write_start) assume (write_idle & write_length >= 1 & write_length <= 16);
    end

    // ---- what is on the bus, from its pins ------------------------------------------------------------------------------
    logic       aw_open = 1'b0, w_open = 1'b0, r_open = 1'b0;  // a burst was asked for, and is not answered
    logic       asked = 1'b0, read_asked = 1'b0;               // its address is taken
    logic [4:0] words = '0;                                    // taken
    logic       old_word = 1'b0;                               // the word on W was there before the reset
    logic       reset_in = 1'b0;                               // a reset came in this burst
    wire        aw = awvalid & awready, w = wvalid & wready, b = bvalid & bready, ar = arvalid & arready, r = rvalid & rready;
    always_ff @(posedge aclk) begin
        if (~aresetn) {asked, read_asked, words, old_word, reset_in} <= '0;
        else begin
            asked <= (asked | aw) & ~b;
            read_asked <= (read_asked | ar) & ~(r & rlast);
            words <= b ? 5'd0 : words + w;
            old_word <= wvalid & ~wready & (old_word | clear);
            reset_in <= \writes.waits & ~b & (reset_in | clear);
        end
    end
    // The bus keeps to AXI: no answer before what it answers.
    always_comb begin
        if (bvalid) assume (asked & words == awlen + 1);
        if (rvalid) assume (read_asked);
    end

    logic        was_awvalid = 0, was_wvalid = 0, was_arvalid = 0, was_aw = 0, was_w = 0, was_ar = 0, was_wlast = 0;
    logic [63:0] was_awaddr, was_wdata, was_araddr;
    logic [7:0]  was_awlen, was_wstrb, was_arlen;
    always_ff @(posedge aclk) begin
        {was_awvalid, was_wvalid, was_arvalid, was_aw, was_w, was_ar, was_wlast} <= {awvalid, wvalid, arvalid, aw, w, ar, wlast};
        {was_awaddr, was_wdata, was_araddr, was_awlen, was_wstrb, was_arlen} <= {awaddr, wdata, araddr, awlen, wstrb, arlen};
    end

    always_ff @(posedge aclk) if (began) begin
        quiet_in_reset: assert (~before_resets | ~(awvalid | wvalid | arvalid));
    end
    always_ff @(posedge aclk) if (began) begin
        aw_stays: assert (before_resets | ~(was_awvalid & ~was_aw) | (awvalid & awaddr == was_awaddr & awlen == was_awlen));
        w_stays:  assert (before_resets | ~(was_wvalid & ~was_w) | (wvalid & wdata == was_wdata & wstrb == was_wstrb & wlast == was_wlast));
        ar_stays: assert (before_resets | ~(was_arvalid & ~was_ar) | (arvalid & araddr == was_araddr & arlen == was_arlen));
        // SPEC 9.2, 3.3: nothing begins in a reset, nor without Bus Master.
        no_new_aw: assert (~(awvalid & ~was_awvalid) | (~before_clear & before_master));
        no_new_ar: assert (~(arvalid & ~was_arvalid) | (~before_clear & before_master));
        // What comes to W after a reset changes no memory; one word may have been there before it.
        no_strobes: assert (~(wvalid & reset_in & ~old_word) | wstrb == 0);
        all_strobes: assert (~wvalid | wstrb == 0 | wstrb == 8'hff);
        // As many words as were asked for, the last one marked.
        last_word:  assert (~wvalid | wlast == (words == awlen));
        no_more:    assert (~wvalid | words <= awlen);
        // The end is told with the bus's answer, and never before it; at once where the bus may not be used.
        write_ends: assert (~write_done | b | \writes.refused );
        read_ends:  assert (~read_done | (r & rlast) | \reads.refused );
        idle_is_quiet: assert (~write_idle | ~(awvalid | wvalid | asked));
        read_idle_is_quiet: assert (~read_idle | ~(arvalid | read_asked));
        // For the induction.
        waits_is: assert (\writes.waits | ~(awvalid | wvalid | asked | \writes.left != 0 | words != 0));
        reads_waits_is: assert (\reads.waits | ~(arvalid | read_asked));
        count_is: assert (~\writes.waits | words + wvalid + \writes.left == awlen + 1);
        asks_once: assert (~(awvalid & asked) & ~(arvalid & read_asked) & ~(\writes.waits & ~awvalid & ~asked));
        dropped_is: assert (~\writes.waits | \writes.dropped == reset_in);
        refused_is: assert (~(\writes.waits & \writes.refused ) & ~(\reads.waits & \reads.refused ));
        length_is: assert (~\writes.waits | awlen <= 15);
    end
endmodule
