// What went wrong, device-wide: kinds, counts, the record of the first, and the vector (SPEC 4.4, 8).
//
// One error is taken in one cycle and acts in the next: those that are reported, or those that ERR_STATUS_SET raises, the lowest
// kind first. The one after waits until that has acted and its vector is raised.
module bmu_errors (
    input  logic        aclk,
    input  logic        clear,

    input  logic        valid,          // an access, until it is done
    input  logic        write,
    input  logic [7:0]  offset,         // from 0x80 on
    input  logic [31:0] data,
    output logic        done,
    output logic [31:0] answer,

    input  logic        pools_valid,    // an error of a pool or of the register path, held until `ready`
    output logic        pools_ready,
    input  logic [3:0]  pools_kind,
    input  logic [2:0]  pools_source,
    input  logic [5:0]  pools_pool,
    input  logic [63:0] pools_address,
    input  logic        portals_valid,  // one of a portal
    output logic        portals_ready,
    input  logic [3:0]  portals_kind,
    input  logic [2:0]  portals_source,
    input  logic [5:0]  portals_pool,
    input  logic [5:0]  portals_portal,
    input  logic [63:0] portals_address,

    output logic        raise,          // ERR_VECTOR, held until `raise_ready`
    input  logic        raise_ready,
    output logic [4:0]  raise_vector
);
    localparam logic [7:0] STATUS       = 8'h80;
    localparam logic [7:0] STATUS_SET   = 8'h84;
    localparam logic [7:0] ENABLE_SET   = 8'h88;
    localparam logic [7:0] ENABLE_CLEAR = 8'h8c;
    localparam logic [7:0] RECORD       = 8'h90;
    localparam logic [7:0] ADDRESS      = 8'h98;
    localparam logic [7:0] ADDRESS_HIGH = 8'h9c;
    localparam logic [7:0] RECORD_CLEAR = 8'ha0;
    localparam logic [7:0] VECTOR       = 8'ha4;
    localparam logic [7:0] COUNT        = 8'hc0; // and one each kind

    localparam int unsigned KINDS = 9;
    localparam logic [2:0] INJECTED = 3'd4;
    localparam logic [31:0] MOST = 32'hffff_fffe;

    function automatic logic [3:0] lowest(input logic [KINDS-1:0] kinds);
        lowest = '0;
        for (int i = KINDS - 1; i >= 0; i--) if (kinds[i]) lowest = 4'(i);
    endfunction

    logic [KINDS-1:0] status, enabled;
    logic [4:0]       vector;
    logic [29:0]      record;
    logic [63:0]      address;
    logic             injecting;      // what a write of ERR_STATUS_SET brought is in `injected`
    logic [KINDS-1:0] injected;       // kinds that are still to be raised
    logic             portal_is_next; // where both report

    // ---- which error is next -------------------------------------------------------------------------------------------
    logic             happens; // in this cycle: what the one before took
    logic [KINDS-1:0] kind_bit;
    logic [3:0]       kind;
    logic [2:0]       source;
    logic [5:0]       pool, portal;
    logic [63:0]      about;

    wire injects = |injected;
    wire takes_portal = portals_valid & (portal_is_next | ~pools_valid);
    wire rests = ~raise & ~happens;
    wire open = rests & ~valid & ~injects; // for reports; an access has the cycle for itself
    assign portals_ready = open & takes_portal;
    assign pools_ready   = open & ~takes_portal;

    wire [3:0] kind_next = injects ? lowest(injected) : takes_portal ? portals_kind : pools_kind;
    wire [15:0] one_hot = 16'd1 << kind_next;
    always_ff @(posedge aclk) begin
        happens <= ~clear & ((rests & injects) | (open & (pools_valid | portals_valid)));
        if (~happens) begin
            {kind, kind_bit} <= {kind_next, one_hot[KINDS-1:0]};
            if (injects) {source, pool, portal, about} <= {INJECTED, 6'd0, 6'd0, 64'd0};
            else if (takes_portal) {source, pool, portal, about} <= {portals_source, portals_pool, portals_portal, portals_address};
            else {source, pool, portal, about} <= {pools_source, pools_pool, 6'd0, pools_address};
        end
    end

    // ---- registers -----------------------------------------------------------------------------------------------------
    wire [7:0] at = {1'b1, offset[6:2], 2'b00}; // what else there is of an offset of these words
    logic is_set, is_clear; // the offset stands there a cycle before the access
    always_ff @(posedge aclk) {is_set, is_clear} <= {write & at == STATUS_SET, write & at == RECORD_CLEAR};
    wire sets = valid & is_set;
    assign done = valid & rests & (~sets | (injecting & ~injects));
    wire writes = done & write;
    wire [KINDS-1:0] news = writes & at == ENABLE_SET ? data[KINDS-1:0] & ~enabled : '0;

    always_ff @(posedge aclk) begin
        if (clear) begin
            status         <= '0;
            enabled        <= '0;
            vector         <= '0;
            record         <= '0;
            address        <= '0;
            injecting      <= 1'b0;
            injected       <= '0;
            portal_is_next <= 1'b0;
            raise          <= 1'b0;
        end else begin
            injecting <= sets & ~done;
            if (sets & ~injecting) injected <= data[KINDS-1:0];
            else if (happens) injected <= injected & ~kind_bit;
            if (pools_valid & pools_ready | portals_valid & portals_ready) portal_is_next <= ~takes_portal;

            if (happens) begin
                status <= status | kind_bit;
                if (~record[0]) begin
                    record  <= {portal, 2'd0, pool, 5'd0, source, kind, 3'd0, 1'b1};
                    address <= about;
                end
            end else if (writes) begin
                if (is_clear & data[0]) {record, address} <= '0;
                case (at)
                    STATUS:       status <= status & ~data[KINDS-1:0];
                    ENABLE_SET:   enabled <= enabled | news;
                    ENABLE_CLEAR: enabled <= enabled & ~data[KINDS-1:0];
                    VECTOR:       vector <= data[4:0];
                    default:      ;
                endcase
            end

            if (raise) raise <= ~raise_ready;
            else raise <= happens & |(kind_bit & enabled & ~status) | |(news & status);
        end
    end
    assign raise_vector = vector;

    // ---- counts --------------------------------------------------------------------------------------------------------
    // In a small memory, which no reset clears: a count that did not begin since then is 0. Errors have two cycles between them,
    // so that one is read in the cycle in which it happens and written in the next.
    logic [31:0]      counts [16] /* verilator public_flat_rw */; // for the bench, which can't count that far
    logic [KINDS-1:0] began;
    logic [3:0]       counted; // the kind
    logic [31:0]      so_far;
    logic             writes_count;
    wire  [15:0]      asked_one = 16'd1 << at[5:2];
    wire  [31:0]      count = |(asked_one[KINDS-1:0] & began) ? counts[at[5:2]] : 32'd0;

    always_ff @(posedge aclk) begin
        writes_count <= happens;
        counted      <= kind;
        so_far       <= |(kind_bit & began) ? counts[kind] : 32'd0;
        if (clear) began <= '0;
        else if (happens) began <= began | kind_bit;
    end
    always_ff @(posedge aclk) if (writes_count) counts[counted] <= so_far == MOST ? MOST : so_far + 1'b1;

    logic [31:0] word;
    always_comb begin
        case (at)
            STATUS, STATUS_SET:       word = 32'(status);
            ENABLE_SET, ENABLE_CLEAR: word = 32'(enabled);
            RECORD:                   word = {2'd0, record};
            ADDRESS:                  word = address[31:0];
            ADDRESS_HIGH:             word = address[63:32];
            VECTOR:                   word = 32'(vector);
            default:                  word = at >= COUNT ? count : 32'd0;
        endcase
    end
    always_ff @(posedge aclk) answer <= word;

    wire unused = &{data[31:KINDS], one_hot[15:KINDS], asked_one[15:KINDS], offset[7], offset[1:0]};
endmodule
