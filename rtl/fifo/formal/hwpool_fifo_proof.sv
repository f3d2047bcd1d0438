// What is proved of the device, whatever its bus does: README.md has it in words. Read by yosys alone.
//
// `hierconn` joins a wire of that name inside of the device. The rules stand here a second time, from SPEC.md, without a look
// at how the device keeps them; what only carries the induction is marked so.
module hwpool_fifo_proof #(
    parameter int unsigned DEPTH = 4,
    localparam int unsigned BITS = DEPTH > 1 ? $clog2(DEPTH) : 1,
    localparam int unsigned LEVEL_BITS = $clog2(DEPTH + 1)
) (
    input logic        aclk, por_n, aresetn, flr,
    input logic [11:0] awaddr, araddr,
    input logic        awvalid, wvalid, bready, arvalid, rready,
    input logic [31:0] wdata,
    input logic [3:0]  wstrb,
    input logic        irq_ready
);
`ifdef WATCH
    localparam int unsigned WATCH = 1;
`else
    localparam int unsigned WATCH = 0;
`endif
    logic        awready, wready, bvalid, arready, rvalid, irq_valid, double_push;
    logic [1:0]  bresp, rresp;
    logic [31:0] rdata;
    wire         up = aresetn & por_n; // the bus is

    hwpool_fifo #(.DEPTH(DEPTH), .WATCH(WATCH)) fifo (
        .aclk, .por_n, .aresetn, .flr,
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'd0), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(wstrb), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
        .s_axil_araddr(araddr), .s_axil_arprot(3'd0), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
        .irq_valid, .irq_ready, .double_push
    );

    logic [3:0] aw_open, w_open, ar_open;
    axil_check check (
        .aclk, .aresetn(up), .awaddr, .awvalid, .awready, .wdata, .wstrb, .wvalid, .wready, .bresp, .bvalid, .bready,
        .araddr, .arvalid, .arready, .rdata, .rresp, .rvalid, .rready, .aw_open, .w_open, .ar_open
    );

    // Inside of the device.
    (* hierconn *) logic                  \fifo.port.aw_held , \fifo.port.w_held , \fifo.port.ar_held ;
    (* hierconn *) logic                  \fifo.port.write_goes , \fifo.port.read_goes ;
    (* hierconn *) logic                  \fifo.port.read_is_older , \fifo.port.settles ;
    (* hierconn *) logic [11:0]           \fifo.port.aw_address , \fifo.port.ar_address ;
    (* hierconn *) logic [3:0]            \fifo.port.w_strobe ;
    (* hierconn *) logic [31:0]           \fifo.write_data ;
    (* hierconn *) logic                  \fifo.ready , \fifo.clear , \fifo.push , \fifo.pop , \fifo.regs.gives ;
    (* hierconn *) logic [30:0]           \fifo.reset_count ;
    (* hierconn *) logic                  \fifo.resets.outside_before ;
    (* hierconn *) logic [BITS-1:0]       \fifo.number , \fifo.popped , \fifo.queue.oldest , \fifo.queue.next ;
    (* hierconn *) logic [LEVEL_BITS-1:0] \fifo.level ;
    (* hierconn *) logic [DEPTH*BITS-1:0] \fifo.queue.seen_numbers ;
    (* hierconn *) logic [30:0]           \fifo.regs.scratch ;
    (* hierconn *) logic [24:0]           \fifo.regs.threshold ;
    (* hierconn *) logic [2:0]            \fifo.regs.error ;
    (* hierconn *) logic                  \fifo.regs.enable , \fifo.enabled , \fifo.low ;

    // Power-up comes first.
    logic started = 1'b0;
    always_ff @(posedge aclk) started <= 1'b1;
    always_comb if (!started) power_up_first: assume (~por_n);

    // ---- order (SPEC 4.5), from the pins -------------------------------------------------------------------------------
    // Whether the read that was taken has a write before it, and the write that was taken a read.
    logic aw_in = 1'b0, w_in = 1'b0, ar_in = 1'b0, write_ahead = 1'b0, read_ahead = 1'b0;
    wire  aw_comes = awvalid & awready, w_comes = wvalid & wready, ar_comes = arvalid & arready;
    always_ff @(posedge aclk) begin
        if (~up) {aw_in, w_in, ar_in, write_ahead, read_ahead} <= '0;
        else begin
            aw_in <= (aw_in & ~\fifo.port.write_goes ) | aw_comes;
            w_in  <= (w_in & ~\fifo.port.write_goes ) | w_comes;
            ar_in <= (ar_in & ~\fifo.port.read_goes ) | ar_comes;
            if (ar_comes) write_ahead <= (aw_in | w_in | aw_comes | w_comes) & ~\fifo.port.write_goes ;
            else if (\fifo.port.write_goes ) write_ahead <= 1'b0;
            if (~aw_in & ~w_in & (aw_comes | w_comes)) read_ahead <= ar_in & ~\fifo.port.read_goes ;
            else if (\fifo.port.read_goes ) read_ahead <= 1'b0;
        end
    end
    always_ff @(posedge aclk) if (up) begin
        read_after_write: assert (~(\fifo.port.read_goes & write_ahead & ar_in));
        write_after_read: assert (~(\fifo.port.write_goes & read_ahead & (aw_in | w_in)));
        writes_are_whole: assert (~\fifo.port.write_goes | (aw_in & w_in));
        one_at_a_time:    assert (~(\fifo.port.read_goes & \fifo.port.write_goes ));
        then_a_pause:     assert (~\fifo.port.settles | ~(\fifo.port.read_goes | \fifo.port.write_goes ));
        // For the induction.
        held_is_in: assert (aw_in == \fifo.port.aw_held & w_in == \fifo.port.w_held & ar_in == \fifo.port.ar_held );
        open_is:    assert (aw_open == aw_in + bvalid & w_open == w_in + bvalid & ar_open == ar_in + rvalid);
        older_is:   assert (~(ar_in & (aw_in | w_in)) | (\fifo.port.read_is_older == ~write_ahead & read_ahead == ~write_ahead));
        older_else: assert (~ar_in | aw_in | w_in | \fifo.port.read_is_older );
        ahead_is:   assert (~(write_ahead & ar_in) | aw_in | w_in);
        behind_is:  assert (~(read_ahead & (aw_in | w_in)) | ar_in);
    end

    // ---- no access waits for ever --------------------------------------------------------------------------------------
    // Cycles in which an access waits, and nothing of the master's: answers that it takes, the other half of a write.
    logic [3:0] read_waits = '0, write_waits = '0;
    wire        at_rest = (bvalid & ~bready) | (rvalid & ~rready) | (aw_in ^ w_in);
    always_ff @(posedge aclk) begin
        if (~up | ~ar_in | \fifo.port.read_goes ) read_waits <= '0;
        else if (~at_rest) read_waits <= read_waits + 1'b1;
        if (~up | ~(aw_in & w_in) | \fifo.port.write_goes ) write_waits <= '0;
        else if (~at_rest) write_waits <= write_waits + 1'b1;
    end
    always_ff @(posedge aclk) if (up) begin
        read_ends:  assert (read_waits <= 5);
        write_ends: assert (write_waits <= 5);
        // For the induction: what is still before the access gets less in each such cycle.
        read_nears:  assert (~ar_in | read_waits + \fifo.port.settles + rvalid + (write_ahead ? 2 + bvalid : 0) <= 5);
        write_nears: assert (~(aw_in & w_in) | write_waits + \fifo.port.settles + bvalid
                             + (ar_in & ~write_ahead ? 2 + rvalid : 0) <= 5);
    end

    // ---- the registers (SPEC 2 to 6) -----------------------------------------------------------------------------------
    // The rules as a program would have them, one access at a time; what is in the queue comes below.
    logic [30:0] scratch, resets_count = '0;
    logic [1:0]  control;
    logic [2:0]  error;
    logic [24:0] threshold, held;
    logic        low, outside_before = 1'b1;
    logic        reads_rest; // the read that R answers took nothing: it gives `expected`
    logic [31:0] expected;

    wire         outside = ~por_n | ~aresetn | flr;
    wire         ready   = \fifo.ready & ~outside;
    wire         writes  = \fifo.port.write_goes & ready & \fifo.port.aw_address [1:0] == 0 & \fifo.port.w_strobe == 4'hf;
    wire  [11:0] w_at    = \fifo.port.aw_address ;
    wire  [31:0] w       = \fifo.write_data ;
    wire         reads   = \fifo.port.read_goes ;
    wire  [11:0] r_at    = \fifo.port.ar_address ;
    wire         reset_written = writes & w_at == 12'h28 & w == 32'h54455352;
    wire         any_reset = outside | reset_written;

    wire         push_refused_disabled = ~control[0];
    wire         push_refused_range    = ~push_refused_disabled & w[23:0] >= DEPTH;
    wire         push_refused_overflow = ~push_refused_disabled & ~push_refused_range & held == DEPTH;
    wire         push_taken = writes & w_at == 12'h24
                              & ~push_refused_disabled & ~push_refused_range & ~push_refused_overflow;
    wire         pop_taken = reads & ready & r_at == 12'h20 & control[0] & held != 0;

    wire         falls = pop_taken & threshold != 0 & held == threshold & held - 1'b1 < threshold;
    wire         low_comes = ~any_reset & ~low & (falls | (writes & w_at == 12'h38 & w[0]));
    wire         irq_turns_on = ~any_reset & writes & w_at == 12'h10 & w[1] & ~control[1];
    wire         message = (low_comes & control[1]) | (irq_turns_on & low);

    always_ff @(posedge aclk) begin
        outside_before <= outside;
        if (~por_n) resets_count <= '0;
        else if ((outside & ~outside_before) | (reset_written & ~outside)) resets_count <= resets_count + 1'b1;
        if (any_reset) begin
            {scratch, control, error, threshold, low, held} <= '0;
        end else begin
            if (writes & w_at == 12'h0c) scratch <= w[30:0];
            if (writes & w_at == 12'h10) control <= w[1:0];
            if (writes & w_at == 12'h1c) error <= error & ~w[2:0];
            if (writes & w_at == 12'h24)
                error <= error | {push_refused_disabled, push_refused_range, push_refused_overflow};
            if (writes & w_at == 12'h30) threshold <= w[24:0];
            if (low_comes) low <= 1'b1;
            else if (writes & w_at == 12'h34 & w[0]) low <= 1'b0;
            held <= held + 25'(push_taken) - 25'(pop_taken);
        end
        if (reads) begin
            reads_rest <= ~pop_taken;
            case (r_at)
                12'h00:  expected <= ready ? 32'h4f464946 : '0;
                12'h04:  expected <= ready ? 32'h00010000 : '0;
                12'h08:  expected <= ready ? DEPTH : '0;
                12'h0c:  expected <= ready ? 32'(scratch) : '0;
                12'h10:  expected <= ready ? 32'(control) : '0;
                12'h14:  expected <= {held == DEPTH, held == 0, ready};
                12'h18:  expected <= ready ? 32'(held) : '0;
                12'h1c:  expected <= ready ? 32'(error) : '0;
                12'h2c:  expected <= ready ? 32'(resets_count) : '0;
                12'h30:  expected <= ready ? 32'(threshold) : '0;
                12'h34:  expected <= ready ? 32'(low) : '0;
                12'h38:  expected <= ready ? 32'(low) : '0;
                default: expected <= '0;
            endcase
        end
    end
    always_ff @(posedge aclk) if (started & up) begin
        reads_what_is:   assert (~rvalid | ~reads_rest | rdata == expected);
        okay:            assert (bresp == 0 & rresp == 0);
        push_by_rule:    assert (\fifo.push == push_taken);
        pop_by_rule:     assert (\fifo.pop == pop_taken);
        clears:          assert (\fifo.clear == any_reset);
        level_is:        assert (\fifo.level == held & held <= DEPTH);
        // For the induction.
        same_registers: assert (\fifo.regs.scratch == scratch & \fifo.regs.error == error & \fifo.regs.threshold == threshold
                                & {\fifo.enabled , \fifo.regs.enable } == control & \fifo.low == low);
        empty_in_reset: assert (\fifo.ready | held == 0);
        pops_give:      assert (~rvalid | \fifo.regs.gives  == ~reads_rest);
    end
    always_ff @(posedge aclk) if (started) begin
        counts_resets: assert (\fifo.reset_count == resets_count & \fifo.resets.outside_before == outside_before);
    end

    // ---- a reset ends (SPEC 6) -----------------------------------------------------------------------------------------
    logic [LEVEL_BITS+1:0] resetting = '0;
    always_ff @(posedge aclk) begin
        if (any_reset | \fifo.ready ) resetting <= '0;
        else resetting <= resetting + 1'b1;
    end
    always_ff @(posedge aclk) if (started) reset_ends: assert (\fifo.ready | resetting < (WATCH != 0 ? DEPTH : 1));

    // ---- the message (SPEC 5) ------------------------------------------------------------------------------------------
    logic owed = 1'b0;
    (* anyconst *) logic always_taken;
    always_comb if (always_taken) irq_is_taken: assume (irq_ready);
    logic [1:0] ahead = '0; // messages that were sent, less those that were taken
    always_ff @(posedge aclk) begin
        if (outside) {owed, ahead} <= '0;
        else begin
            if (message) owed <= 1'b1;
            else if (irq_ready) owed <= 1'b0;
            ahead <= ahead + 2'(message) - 2'(irq_valid & irq_ready);
        end
    end
    always_ff @(posedge aclk) if (started) begin
        // Who takes a message sees all that happened before: none is lost, and none comes of nothing.
        message_owed: assert (irq_valid == owed);
        message_each: assert (~always_taken | ahead == irq_valid);
    end

    // ---- order of the numbers (SPEC 4.1) -------------------------------------------------------------------------------
    // One push, any: how many are before it, and which number it was. Its turn must give that number.
    (* anyseq *) logic choose;
    logic              follows = 1'b0;
    logic [BITS-1:0]   followed;
    logic [24:0]       before;
    wire               its_turn = follows & pop_taken & before == 0;
    logic              was_its_turn = 1'b0; // R answers that pop
    always_ff @(posedge aclk) begin
        if (any_reset | its_turn) follows <= 1'b0;
        else if (~follows & push_taken & choose & ~was_its_turn) begin
            follows  <= 1'b1;
            followed <= w[BITS-1:0];
            before   <= held;
        end else if (pop_taken) before <= before - 1'b1;
        if (~up) was_its_turn <= 1'b0;
        else if (reads) was_its_turn <= its_turn;
        else if (rvalid & rready) was_its_turn <= 1'b0;
    end
    // The number at a place, and the place of the one that came `age` after the oldest.
    function automatic logic [BITS-1:0] number_at(input logic [DEPTH*BITS-1:0] numbers, input logic [LEVEL_BITS:0] place);
        number_at = '0;
        for (int i = 0; i < DEPTH; i++) if (place == i) number_at = number_at | numbers[i*BITS +: BITS];
    endfunction
    wire [LEVEL_BITS:0] followed_at = \fifo.queue.oldest + before[LEVEL_BITS-1:0];
    wire [LEVEL_BITS:0] followed_in = followed_at >= DEPTH ? followed_at - DEPTH : followed_at;
    wire [LEVEL_BITS:0] next_at = \fifo.queue.oldest + \fifo.level ;
    always_ff @(posedge aclk) if (started & up) begin
        in_order: assert (~was_its_turn | (rvalid & rdata == {8'h80, 24'(followed)}));
        // For the induction.
        is_in_queue: assert (~follows | before < held);
        is_in_place: assert (~follows | number_at(\fifo.queue.seen_numbers , followed_in) == followed);
        places_are:  assert (\fifo.queue.next == (next_at >= DEPTH ? next_at - DEPTH : next_at)
                             & \fifo.queue.oldest < DEPTH);
    end

    // ---- each number is at one place -----------------------------------------------------------------------------------
    // One number, any. At first the host has it. A host that is honest pushes it only then.
    (* anyconst *) logic [BITS-1:0] chosen;
    (* anyconst *) logic            honest;
    always_comb is_a_number: assume (chosen < DEPTH);
    logic host_has = 1'b1, stale = 1'b0; // stale: R answers a pop from before a reset
    wire  pushed = push_taken & w[23:0] == chosen;
    wire  on_its_way = rvalid & ~reads_rest & ~stale & rdata[23:0] == chosen;
    always_comb if (honest) keeps_a_ledger: assume (~pushed | host_has);

    logic [LEVEL_BITS-1:0] places;
    always_comb begin
        places = '0;
        for (int i = 0; i < DEPTH; i++)
            if ((i >= \fifo.queue.oldest ? i - \fifo.queue.oldest : i + DEPTH - \fifo.queue.oldest ) < held
                & \fifo.queue.seen_numbers [i*BITS +: BITS] == chosen)
                places = places + 1'b1;
    end

    always_ff @(posedge aclk) begin
        if (any_reset) host_has <= 1'b1;
        else if (pushed) host_has <= 1'b0;
        else if (on_its_way & rready) host_has <= 1'b1;
        if (~up) stale <= 1'b0;
        else if (any_reset) stale <= rvalid & ~rready;
        else if (rvalid & rready) stale <= 1'b0;
    end
    always_ff @(posedge aclk) if (started & up & honest) begin
        out_at_most_once: assert (~on_its_way | ~host_has);
        at_one_place:     assert (places + on_its_way + host_has == 1);
    end
    always_ff @(posedge aclk) if (started & up) begin
        is_below_depth: assert (~rvalid | reads_rest | rdata[23:0] < DEPTH);
        // For the induction.
        stale_is: assert (~stale | rvalid);
    end
    // For the induction: what is in the queue are numbers below DEPTH.
    logic all_below_depth;
    always_comb begin
        all_below_depth = 1'b1;
        for (int i = 0; i < DEPTH; i++)
            if ((i >= \fifo.queue.oldest ? i - \fifo.queue.oldest : i + DEPTH - \fifo.queue.oldest ) < held
                & \fifo.queue.seen_numbers [i*BITS +: BITS] >= DEPTH)
                all_below_depth = 1'b0;
    end
    wire [BITS-1:0] oldest_number = number_at(\fifo.queue.seen_numbers , \fifo.queue.oldest );
    always_ff @(posedge aclk) if (started & up) numbers_are: assert (all_below_depth);

    // ---- a full queue and what left it ---------------------------------------------------------------------------------
    logic              filled = 1'b0;
    logic [LEVEL_BITS:0] out; // that the host has taken since, less those that it gave
    wire               way_of_any = rvalid & ~reads_rest & ~stale;
    always_ff @(posedge aclk) begin
        // A host that gives what it hasn't taken ends the count.
        if (any_reset | (filled & push_taken & out == 0)) filled <= 1'b0;
        else if (~filled) begin
            filled <= held == DEPTH & ~pop_taken & ~way_of_any;
            out <= '0;
        end else out <= out + (way_of_any & rready) - push_taken;
    end
    always_ff @(posedge aclk) if (started & up) begin
        all_are_somewhere: assert (~filled | held + way_of_any + out == DEPTH);
    end

    // ---- the watch (SPEC 4.4) ------------------------------------------------------------------------------------------
`ifdef WATCH
    (* hierconn *) logic [DEPTH-1:0] \fifo.g_watch.watch.seen_in_queue ;
    (* hierconn *) logic [BITS-1:0]  \fifo.g_watch.watch.place , \fifo.g_watch.watch.pushed ;
    (* hierconn *) logic             \fifo.g_watch.watch.marks , \fifo.g_watch.watch.unmarks ;
    (* hierconn *) logic             \fifo.g_watch.watch.was_in ;
    // Whether the last that happened to the number is a push; whether it was pushed twice since a reset.
    logic is_in = 1'b0, spoilt = 1'b0, twice = 1'b0, pushes_chosen = 1'b0;
    wire  popped_now = pop_taken & oldest_number == chosen;
    wire  bit_chosen = \fifo.g_watch.watch.seen_in_queue [chosen];
    wire  marks_it = \fifo.g_watch.watch.marks & \fifo.g_watch.watch.pushed == chosen;
    wire  unmarks_it = \fifo.g_watch.watch.unmarks & \fifo.popped == chosen;
    always_ff @(posedge aclk) begin
        twice <= pushed & is_in & ~any_reset;
        pushes_chosen <= pushed & ~any_reset;
        if (any_reset) {is_in, spoilt} <= '0;
        else if (pushed) begin
            is_in  <= 1'b1;
            spoilt <= spoilt | is_in;
        end else if (popped_now) is_in <= 1'b0;
    end
    always_ff @(posedge aclk) if (started & up) begin
        double_is_told:  assert (~pushes_chosen | double_push == twice);
        never_if_honest: assert (~(honest & twice));
        never_else:      assert (~double_push | \fifo.g_watch.watch.marks );
        none_missed:     assert (spoilt | places == is_in);
        // For the induction.
        bit_is:    assert (~\fifo.ready | (marks_it | (bit_chosen & ~unmarks_it)) == is_in);
        unspoilt:  assert (~honest | ~spoilt);
        not_in:    assert (\fifo.ready | ~is_in);
        sweep_is:  assert (\fifo.ready | ~(chosen < \fifo.g_watch.watch.place ) | ~bit_chosen);
        time_is:   assert (\fifo.ready | resetting == \fifo.g_watch.watch.place );
        place_is:  assert (\fifo.ready | \fifo.g_watch.watch.place < DEPTH);
        marks_are: assert (~(\fifo.g_watch.watch.marks | \fifo.g_watch.watch.unmarks ) | (\fifo.port.settles & \fifo.ready ));
        mark_is:   assert (marks_it == pushes_chosen);
        one_mark:  assert (~(\fifo.g_watch.watch.marks & \fifo.g_watch.watch.unmarks ));
    end
`endif

    // ---- what can be reached -------------------------------------------------------------------------------------------
    // With a search that makes each of these fail, the assumptions leave room for what the proofs are about.
`ifdef REACH
    always_ff @(posedge aclk) if (started & up) begin
        reach_full:       assert (~(held == DEPTH & honest));
        reach_emptied:    assert (~(filled & held == 0 & out == DEPTH));
        reach_overflow:   assert (~error[0]);
        reach_range:      assert (~error[1]);
        reach_disabled:   assert (~error[2]);
        reach_message:    assert (~(irq_valid & irq_ready & message));
        reach_its_turn:   assert (~(was_its_turn & rvalid & rready));
        reach_returned:   assert (~(honest & on_its_way & rready & resets_count == 1));
        reach_stale:      assert (~(stale & rready));
        reach_read_first: assert (~(read_ahead & aw_in & w_in & \fifo.port.read_goes ));
        reach_pipelined:  assert (~(bvalid & rvalid & aw_in & w_in & ar_in));
        reach_double:     assert (~double_push);
    end
`endif
endmodule
