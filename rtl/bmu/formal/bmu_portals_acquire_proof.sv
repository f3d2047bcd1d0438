// The acquire side: for any list, any bus, whatever ends it, and whenever.
//
// One buffer, chosen by the solver, is followed from the list's answer to where it goes: to one entry, at its place and with
// its phase, or back into the list, and nowhere twice.
module bmu_portals_acquire_proof (
    input logic        aclk, clear, start, go, pick,
    input logic [63:0] base,
    input logic [4:0]  log2,
    input logic [31:0] tail_at_start,
    input logic [6:0]  room,
    input logic        write_take, write_done, write_failed, req_ready, rsp_valid,
    input logic [63:0] rsp_addr
);
    logic [31:0] tail;
    logic [4:0]  written, write_length;
    logic        finished, dry, aborted, refused, write_start, req_valid, req_back;
    logic [63:0] fault_address, write_address, write_word, req_addr;

    // The writer, as bmu_portals_bus_proof has it: as many words as were asked for, then the answer.
    logic        busy = 1'b0;
    logic [4:0]  length, left;
    logic [63:0] address;
    always_ff @(posedge aclk) begin
        if (clear) busy <= 1'b0;
        else if (write_start) {busy, length, left, address} <= {1'b1, write_length, write_length, write_address};
        else if (write_done) busy <= 1'b0;
        else if (write_take) left <= left - 1;
    end

    bmu_portals_acquire side (
        .aclk, .clear, .start, .go, .base, .log2, .tail, .room, .written, .finished, .dry, .aborted, .refused, .fault_address,
        .write_start, .write_address, .write_length, .write_idle(~busy), .write_take, .write_word, .write_done, .write_failed,
        .req_valid, .req_ready, .req_back, .req_addr, .rsp_valid, .rsp_addr
    );
    (* hierconn *) logic          \side.active , \side.returns , \side.held ;
    (* hierconn *) logic [5:0]    \side.taken , \side.kept , \side.sent ;
    (* hierconn *) logic [2:0]    \side.at_list ;
    (* hierconn *) logic [4:0]    \side.length ;
    (* hierconn *) logic [6:0]    \side.left ;
    (* hierconn *) logic [2047:0] \side.buffer.seen ;
    wire [5:0] stored = \side.taken - \side.kept ;

    logic began = 1'b0;
    logic [2:0] open = '0; // requests without an answer
    wire fires = req_valid & req_ready;
    always_ff @(posedge aclk) begin
        began <= 1'b1;
        open <= clear | start ? 3'd0 : open + fires - rsp_valid;
        tail <= start ? tail_at_start : tail + written;
    end

    // A visit: its ring stays as it is.
    logic [63:0] was_base;
    logic [4:0]  was_log2;
    always_ff @(posedge aclk) {was_base, was_log2} <= {base, log2};
    always_comb begin
        if (!began) assume (clear);
        // Small ones: bmu_portals_burst_proof has all rings.
        assume (base[5:0] == 0 & base[63:16] == 0 & (log2 == 3 | log2 == 4));
        if (\side.active ) assume (base == was_base & log2 == was_log2 & ~start);
        assume (room >= 1 & room <= 64);
        if (rsp_valid) assume (open != 0 & rsp_addr[5:0] == 0 & rsp_addr[63:12] == 0);
        for (int i = 0; i < 32; i++) assume (\side.buffer.seen [i*64+12 +: 52] == 0); // nothing else comes there
        if (write_take) assume (busy & left != 0);
        if (write_done) assume (busy & left == 0);
    end

    // ---- the buffer that is followed ------------------------------------------------------------------------------------
    logic        held = 1'b0;        // the device has it
    logic        gone = 1'b0;        // it had it, and nothing else came to its place in the buffer
    logic [5:0]  place;
    logic [63:0] followed;
    logic        sent = 1'b0;        // it is among the words of the burst under way
    wire         comes = rsp_valid & ~\side.returns & rsp_addr != 0;
    wire [31:0]  number = tail + {26'd0, place - \side.kept };
    wire [31:0]  places = 32'd1 << log2, ring_low = places - 1;
    wire         at_word = write_take & \side.sent [4:0] == place[4:0];
    wire         goes_back = fires & req_back & \side.kept [4:0] == place[4:0];
    wire         is_entry = written != 0 & (place - \side.kept ) < {1'b0, written};
    always_ff @(posedge aclk) begin
        if (clear | start) {held, gone, sent} <= '0;
        else begin
            if (comes & ~held & ~gone & pick) {held, place, followed} <= {1'b1, \side.taken , rsp_addr};
            else if (comes & \side.taken [4:0] == place[4:0]) gone <= 1'b0;
            if (held & at_word) sent <= 1'b1;
            if (write_done) sent <= 1'b0;
            if (held & (is_entry | goes_back)) {held, gone} <= 2'b01;
        end
    end

    always_ff @(posedge aclk) if (began) begin
        // It is written as entry `number`: with its address, at its place, with the phase of that lap.
        word_is:      assert (~(held & at_word) | (write_word[63:6] == followed[63:6] & write_word[5:1] == 0
                              & write_word[0] == ((number & places) == 0)));
        place_is:     assert (~(held & at_word) | address + {56'd0, length - left, 3'd0} == base + {29'd0, number & (places - 1), 3'd0});
        word_once:    assert (~(held & at_word & sent));
        entry_sent:   assert (~(held & is_entry) | sent);
        back_is:      assert (~(held & goes_back) | req_addr == followed);
        entry_or_back: assert (~(held & goes_back & (is_entry | sent)));
        never_again:  assert (~(gone & (at_word | goes_back)));
        refused_none: assert (~(write_done & write_failed) | written == 0);
        none_left:    assert (~(held & finished));
        // SPEC 6.1, 9.1: no burst begins behind the end, nor a request; one that waits already may be taken.
        no_burst:     assert (~write_start | (go & ~refused & ~aborted));
        no_take:      assert (~(req_valid & ~req_back) | \side.held | (go & ~refused & ~aborted));
        four_at_most: assert (open <= 4);
        room_is_kept: assert (~\side.active | \side.returns | stored + \side.at_list <= 32);
        // For the induction.
        open_is:      assert (open == \side.at_list );
        closed_is:    assert (\side.active | ~(held | busy | \side.returns | \side.held | req_valid) & stored == 0 & open == 0);
        held_is:      assert (~held | ((place - \side.kept ) < stored & \side.buffer.seen [place[4:0]*64 +: 64] == followed));
        gone_is:      assert (~gone | ((place - \side.kept ) & 31) >= stored);
        stored_is:    assert (stored <= 32);
        burst_is:     assert (~busy | (\side.active & ~\side.returns & ~refused & \side.length == length & length >= 1 & length <= stored & length <= 16
                              & left <= length & \side.sent == \side.kept + (length - left) & address == write_address
                              & length <= \side.burst.longest ));
        sent_is:      assert (~sent | (held & busy));
        sent_place:   assert (~(held & busy) | sent == ((place - \side.kept ) < length - left));
        back_ends:    assert (~\side.returns | refused | aborted);
        held_at_list: assert (~\side.held | (\side.at_list < 4 & (\side.returns ? stored != 0 : stored + \side.at_list < 32 & \side.left != 0)));
        left_is:      assert (\side.left <= 64);
        space_is:     assert (~\side.has_space | ~\side.active | stored + \side.at_list < 32);
        may_write_is: assert (~(\side.may_write & ~clear) | (\side.active & ~busy & ~\side.returns & \side.burst.age [2] & \side.length >= 1 & \side.length <= stored
                              & \side.length <= \side.burst.longest ));
        finishes:     assert (~finished | (\side.active & ~busy & open == 0 & stored == 0 & ~req_valid & (refused | aborted | dry | \side.left == 0)));
        burst_age:    assert (~\side.active | (~\side.burst.age [1] | \side.burst.age [0]) & (~\side.burst.age [2] | \side.burst.age [1]));
        busy_settled: assert (~busy | \side.burst.age [2]);
        burst_known:  assert (~\side.active | ((~\side.burst.age [0] | \side.burst.low_bits == places - 1)
                              & (~\side.burst.age [1] | (\side.burst.place == (tail & (places - 1)) & \side.burst.lap_is_even == ((tail & places) == 0)))
                              & (~\side.burst.age [2] | (write_address == base + {29'd0, tail & (places - 1), 3'd0} & \side.phase == ((tail & places) == 0)
                              & \side.burst.longest == (\side.burst.is_upper | \side.burst.is_last ? 16'd8 : 16'd16) - \side.burst.place [2:0]))
                              & (~\side.burst.age [1] | (\side.burst.is_upper == (base[6] ^ \side.burst.place [3]) & \side.burst.is_last == &(tail[31:3] | ~ring_low[31:3])))));
    end
    (* hierconn *) logic [4:0]  \side.burst.longest ;
    (* hierconn *) logic        \side.has_space , \side.may_write , \side.phase ;
    (* hierconn *) logic [2:0]  \side.burst.age ;
    (* hierconn *) logic [31:0] \side.burst.low_bits , \side.burst.place ;
    (* hierconn *) logic        \side.burst.is_upper , \side.burst.is_last , \side.burst.lap_is_even ;
endmodule
