// The release side: for any memory and what stands there, any list, any doorbell, whatever ends it, and whenever.
//
// A bystander counts: entries of bursts that were read whole, entries that the list took, its answers, and those that are
// told as consumed. One entry, chosen by the solver, is followed from the bus to the list and to the error that it may be.
// Its number since the doorbell's head is the place where each count meets it, so it is met once and in its order.
module bmu_portals_release_proof (
    input logic        aclk, clear, start, go,
    input logic [63:0] base,
    input logic [4:0]  log2,
    input logic [31:0] head_at_start,
    input logic [6:0]  announced_at_start, // entries
    input logic [5:0]  chosen_at_start,
    input logic        read_word_valid, read_done, read_failed, req_ready, rsp_valid, rsp_error, error_ready,
    input logic [63:0] read_word,
    input logic [3:0]  rsp_kind
);
    logic        consumed, finished, stale, refused, error_valid, read_start, req_valid;
    logic [63:0] fault_address, error_address, read_address, req_addr;
    logic [3:0]  error_kind;
    logic [4:0]  read_length;

    logic [31:0] head;
    logic [6:0]  announced, chosen;

    // The reader, as bmu_portals_bus_proof has it: words, the end with the last one; or, where the bus may not be used, the end
    // alone. A reset does not stop it, but none begins in one.
    logic        busy = 1'b0;
    logic [4:0]  length, left;
    logic [63:0] address;
    always_ff @(posedge aclk) begin
        if (read_start & ~clear) {busy, length, left, address} <= {1'b1, read_length, read_length, read_address};
        else begin
            if (read_done) busy <= 1'b0;
            if (read_word_valid) left <= left - 1;
        end
    end

    wire [31:0] head_is = start ? head_at_start : head; // the engine's counts do not move before the visit begins
    bmu_portals_release side (
        .aclk, .clear, .start, .go, .base, .log2, .head(head_is), .target(start ? head_at_start + announced_at_start : head + announced),
        .consumed, .finished, .stale, .refused, .fault_address, .error_valid, .error_ready, .error_kind, .error_address,
        .read_start, .read_address, .read_length, .read_idle(~busy), .read_word_valid, .read_word, .read_done, .read_failed,
        .req_valid, .req_ready, .req_addr, .rsp_valid, .rsp_error, .rsp_kind
    );
    (* hierconn *) logic          \side.active ;
    (* hierconn *) logic [31:0]   \side.asked ;
    (* hierconn *) logic [5:0]    \side.came , \side.whole , \side.begun , \side.answered , \side.done ;
    (* hierconn *) logic [4:0]    \side.length ;
    (* hierconn *) logic [19:0]   \side.seen_answers ;
    (* hierconn *) logic [2079:0] \side.buffer.seen ;

    // ---- the ledger -----------------------------------------------------------------------------------------------------
    logic       began = 1'b0, live = 1'b0;     // a visit is under way
    logic [6:0] got, handed, answers, told;    // of this visit: read, taken by the list, answered, consumed
    logic       failed;                        // a burst was
    logic       have, known;                   // the chosen one's word came, and what the list says of it
    logic [63:0] followed;
    logic [4:0] verdict;
    wire        fires = req_valid & req_ready;
    wire [6:0]  came = got + (busy ? length - left : 5'd0);
    wire        at_word = read_word_valid & live & came == chosen;
    always_ff @(posedge aclk) begin
        began <= 1'b1;
        if (clear | start) begin
            live <= start & ~clear;
            {got, handed, answers, told, failed, have, known} <= '0;
            if (start) {head, announced, chosen} <= {head_at_start, announced_at_start, 1'b0, chosen_at_start};
        end else begin
            if (finished) live <= 1'b0;
            if (read_done & live & ~read_failed) got <= got + length;
            if (read_done & live & read_failed) failed <= 1'b1;
            handed  <= handed + fires;
            answers <= answers + rsp_valid;
            told    <= told + consumed;
            if (read_done & live & read_failed & chosen >= got) have <= 1'b0;
            else if (at_word) {have, followed} <= {1'b1, read_word};
            if (rsp_valid & answers == chosen) {known, verdict} <= {1'b1, rsp_error, rsp_kind};
        end
    end

    logic [63:0] was_base;
    logic [4:0]  was_log2;
    always_ff @(posedge aclk) {was_base, was_log2} <= {base, log2};
    always_comb begin
        if (!began) assume (clear & ~busy & rested == 0);
        // Small ones: bmu_portals_burst_proof has all rings. All counts, across 2^32 as well.
        assume (base[5:0] == 0 & base[63:16] == 0 & (log2 == 3 | log2 == 4 | log2 == 7));
        // Few bits of what stands there, for each goes the way of its neighbour.
        assume (read_word[63:10] == 0);
        for (int i = 0; i < 32; i++) assume (\side.buffer.seen [i*65+10 +: 54] == 0);
        // A visit: its ring stays as it is. It begins when nothing is on the bus (SPEC 9.2), with a doorbell in bounds (6.4).
        if (live) assume (base == was_base & log2 == was_log2 & ~start);
        if (start) assume (~busy & announced_at_start >= 1 & announced_at_start <= 64 & announced_at_start <= (32'd1 << log2));
        if (read_word_valid) assume (busy & left != 0);
        if (read_word_valid & left == 1) assume (read_done);
        if (read_done) assume (busy & (read_word_valid ? left == 1 : left == length & read_failed));
        if (rsp_valid) assume (live & answers != handed);
    end

    // Where entry `n` of this visit lies, its phase, and whether a word is that of one.
    function automatic logic [63:0] place_of(input logic [6:0] n);
        place_of = base + {29'd0, (head + {25'd0, n}) & ((32'd1 << log2) - 1), 3'd0};
    endfunction
    wire [31:0] number = head + {25'd0, chosen};
    wire        right = followed[5:1] == 0 & followed[0] == ((number & (32'd1 << log2)) == 0);

    logic was_waiting = 1'b0;
    logic [63:0] was_addr;
    wire [31:0] ring_low = (32'd1 << log2) - 1;
    logic was_go;
    always_ff @(posedge aclk) was_go <= go;
    always_ff @(posedge aclk) {was_waiting, was_addr} <= {req_valid & ~req_ready & ~clear, req_addr};

    logic [2:0] rested = 3'd0; // cycles in which nobody had anything to do
    always_ff @(posedge aclk) rested <= live & ~clear & ~start & ~busy & handed == told & ~req_valid & ~read_start & ~finished ? rested + 1 : 3'd0;

    always_ff @(posedge aclk) if (began) begin
        // SPEC 6.4: what is read is what the doorbell announced, in its order; 6.3: where it lies.
        burst_is:    assert (~read_start | (read_length >= 1 & read_length <= 16 & got + read_length <= announced & read_address == place_of(got)));
        burst_may:   assert (~read_start | (live & go & ~busy & ~stale & ~refused));
        // Each entry comes to the list once and in its order, after its whole burst, with its address, if it is one.
        handed_is:   assert (~(fires & handed == chosen) | (have & chosen < got & right & req_addr == {followed[63:6], 6'd0}));
        handed_may:  assert (~req_valid | (live & ~stale & handed < got));
        request_stays: assert (~was_waiting | (req_valid & req_addr == was_addr));
        four_at_most: assert (handed - told <= 4);
        // It is consumed once, after its answer, and what that says is told.
        consumed_is: assert (~consumed | (live & told < answers));
        error_is:    assert (~(error_valid & told == chosen) | (known & verdict == {1'b1, error_kind} & error_address == {followed[63:6], 6'd0}));
        error_once:  assert (~(consumed & told == chosen & verdict[4]) | (error_valid & error_ready));
        // How it ends: nothing is under way, and all that the list took is told.
        none_left:   assert (~finished | (live & ~busy & handed == told & answers == told));
        end_stale:   assert (~(finished & stale) | (told < got & (told != chosen | (~right & fault_address == followed))));
        end_refused: assert (~(finished & refused & ~stale) | (failed & told == got & fault_address == place_of(got)));
        end_else:    assert (~(finished & ~stale & ~refused) | (told == got & (told == announced | ~was_go)));
        not_refused: assert (~live | refused == failed);
        // Nobody is waited for who has nothing to do.
        goes_on:     assert (rested <= 6);
        // For the induction.
        rests_is:    assert (rested == 0 | (live & ~busy & handed == told & \side.burst.age [0] & (~\side.waits | stale) & \side.left == announced - got));
        rests_more:  assert ((rested < 2 | was_go | finished) & (rested < 2 | (\side.burst.age [1] & \side.has_left == (announced != got)))
                         & (rested < 3 | \side.burst.age [2]) & (rested < 4 | \side.aimed ) & (rested < 5 | \side.may_read | finished) & (rested < 6 | finished));
        burst_age:   assert (~live | (~\side.burst.age [1] | \side.burst.age [0]) & (~\side.burst.age [2] | \side.burst.age [1]) & (~\side.aimed | \side.burst.age [2]));
        left_is:     assert (~live | ((~\side.burst.age [0] | \side.left == announced - got)
                         & (~\side.burst.age [1] | \side.has_left == (announced != got))));
        burst_known: assert (~live | ((~\side.burst.age [0] | \side.burst.low_bits == (32'd1 << log2) - 1)
                         & (~\side.burst.age [1] | (\side.burst.place == (\side.asked & ((32'd1 << log2) - 1)) & \side.burst.lap_is_even == ((\side.asked & (32'd1 << log2)) == 0)
                            & \side.burst.is_upper == (base[6] ^ \side.burst.place [3]) & \side.burst.is_last == &(\side.asked [31:3] | ~ring_low[31:3])))
                         & (~\side.burst.age [2] | (\side.next_address == place_of(got) & \side.phase == ((\side.asked & (32'd1 << log2)) == 0)
                            & \side.longest == (\side.burst.is_upper | \side.burst.is_last ? 16'd8 : 16'd16) - \side.burst.place [2:0]))));
        failed_is:   assert (~(live & failed) | \side.burst.age == 7);
        may_read_is: assert (~\side.may_read | (live & ~busy & \side.aimed & ~refused & got != announced
                         & \side.length >= 1 & \side.length <= 16 & \side.length <= \side.longest & got + \side.length <= announced & got - told <= 16));
        finishes:    assert (~finished | (live & ~busy & handed == told & (stale | ~\side.waits )));
        live_is:     assert (live == \side.active );
        counts_are:  assert (~live | (\side.asked == head + got & \side.whole == got[5:0]
                         & \side.came == came[5:0] & \side.begun == handed[5:0] & \side.answered == answers[5:0] & \side.done == told[5:0]));
        order_is:    assert (~live | (told <= answers & answers <= handed & handed <= got & got <= announced));
        announced_is: assert (~live | (announced >= 1 & announced <= 64 & announced <= (32'd1 << log2) & chosen < 64));
        room_is:     assert (~live | got + (busy ? length : 5'd0) - told <= 32);
        busy_is:     assert (~busy | (length >= 1 & length <= 16 & left >= 1 & left <= length));
        burst_goes:  assert (~(busy & live) | (\side.length == length & got + length <= announced & ~failed & address == place_of(got)
                         & \side.burst.age == 7 & length <= \side.longest ));
        have_is:     assert (~live | have == (chosen < came));
        kept_is:     assert (~(live & have & told <= chosen) | \side.buffer.seen [chosen[4:0]*65 +: 65] == {~right, followed});
        was_right:   assert (~(live & chosen < handed) | right);
        known_is:    assert (~live | known == (chosen < answers));
        verdict_is:  assert (~(live & known & told <= chosen) | \side.seen_answers [chosen[1:0]*5 +: 5] == verdict);
        stale_is:    assert (~(live & stale) | (handed < got & (handed != chosen | ~right)));
    end
    (* hierconn *) logic        \side.waits , \side.may_read , \side.has_left , \side.aimed , \side.phase ;
    (* hierconn *) logic [6:0]  \side.left ;
    (* hierconn *) logic [63:0] \side.next_address ;
    (* hierconn *) logic [4:0]  \side.longest ;
    (* hierconn *) logic [2:0]  \side.burst.age ;
    (* hierconn *) logic [31:0] \side.burst.low_bits , \side.burst.place ;
    (* hierconn *) logic        \side.burst.is_upper , \side.burst.is_last , \side.burst.lap_is_even ;
endmodule
