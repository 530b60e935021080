%% Blanket.Table as Erlang code uses it: where ets: stands, ?ETS: may be written.
-module(blanket_table_tests).

-compile([export_all, nowarn_export_all]).

-include_lib("stdlib/include/assert.hrl").
-include_lib("stdlib/include/qlc.hrl").

-define(ETS, 'Elixir.Blanket.Table').

-define(TYPES, [set, ordered_set, bag, duplicate_bag]).

filled(Module, Type, Count) ->
    T = Module:new(filled, [Type, public]),
    [true = Module:insert(T, {I, I * I}) || I <- lists:seq(1, Count)],
    T.

%% Both answers, to be compared.
both(Type, Count, Fun) ->
    [Fun(M, filled(M, Type, Count)) || M <- [ets, ?ETS]].

assert_same([Expected, Got]) -> ?assertEqual(Expected, Got).

folds_take_the_arguments_of_ets_test() ->
    [assert_same(both(Type, 100, fun(M, T) -> M:foldl(fun({K, V}, Sum) -> K + V + Sum end, 0, T) end))
     || Type <- ?TYPES],
    assert_same(both(ordered_set, 100, fun(M, T) -> M:foldr(fun(X, Xs) -> [X | Xs] end, [], T) end)).

traversal_deletes_as_it_goes_test() ->
    [begin
         T = filled(?ETS, Type, 500),
         true = ?ETS:safe_fixtable(T, true),
         Keys = delete_from(T, ?ETS:first(T)),
         true = ?ETS:safe_fixtable(T, false),
         ?assertEqual(lists:seq(1, 500), lists:sort(Keys)),
         ?assertEqual(0, ?ETS:info(T, size))
     end || Type <- ?TYPES].

delete_from(_T, '$end_of_table') -> [];
delete_from(T, Key) ->
    true = ?ETS:delete(T, Key),
    [Key | delete_from(T, ?ETS:next(T, Key))].

slots_are_gone_through_test() ->
    [begin
         T = filled(?ETS, Type, 500),
         ?assertEqual(lists:sort(?ETS:tab2list(T)), lists:sort(slots(T, 0)))
     end || Type <- ?TYPES].

slots(T, N) ->
    case ?ETS:slot(T, N) of
        '$end_of_table' -> [];
        Objects -> Objects ++ slots(T, N + 1)
    end.

queries_answer_as_on_ets_test() ->
    Queries =
        [fun(H) -> qlc:q([X || X <- H]) end,
         fun(H) -> qlc:q([V || {K, V} <- H, K rem 7 =:= 0]) end,
         fun(H) -> qlc:q([V || {17, V} <- H]) end,
         fun(H) -> qlc:q([V || {K, V} <- H, K =:= 3 orelse K =:= 4]) end,
         fun(H) -> qlc:q([{K, L} || {K, V} <- H, {L, _} <- H, V =:= L]) end,
         fun(H) -> qlc:sort(qlc:q([{V, K} || {K, V} <- H]), {order, descending}) end],
    Options = [[], {traverse, first_next}, [{traverse, last_prev}], {n_objects, 3}],
    [assert_same(both(Type, 60, fun(M, T) -> lists:sort(qlc:e(Q(M:table(T, O)))) end))
     || Type <- ?TYPES, Q <- Queries, O <- Options].

joins_merge_tables_of_both_kinds_test() ->
    E = filled(ets, ordered_set, 50),
    B = filled(?ETS, ordered_set, 40),
    Q = qlc:q([K || {K, _} <- ets:table(E), {L, _} <- ?ETS:table(B), K =:= L], {join, merge}),
    ?assertEqual(lists:seq(1, 40), qlc:e(Q)).

files_go_both_ways_test() ->
    File = filename:join(os:getenv("TMPDIR", "/tmp"),
                         "blanket_erlang_" ++ os:getpid() ++ ".tab"),
    [begin
         T = filled(Writer, ordered_set, 300),
         ok = Writer:tab2file(T, File, [{extended_info, [md5sum, object_count]}]),
         {ok, Copy} = Reader:file2tab(File, [{verify, true}]),
         ?assertEqual(Writer:tab2list(T), Reader:tab2list(Copy))
     end || Writer <- [ets, ?ETS], Reader <- [ets, ?ETS]],
    ok = file:delete(File).

init_table_reads_from_ets_test() ->
    E = filled(ets, bag, 300),
    Supply = fun Supply({Objects, Continuation}) ->
                     fun(read) -> {Objects, Supply(ets:select(Continuation))};
                        (close) -> ok
                     end;
                 Supply('$end_of_table') -> fun(read) -> end_of_input; (close) -> ok end
             end,
    T = ?ETS:new(copy, [bag]),
    true = ?ETS:init_table(T, Supply(ets:select(E, [{'$1', [], ['$1']}], 10))),
    ?assertEqual(lists:sort(ets:tab2list(E)), lists:sort(?ETS:tab2list(T))).

errors_are_badargs_with_reasons_test() ->
    T = filled(?ETS, set, 1),
    Calls = [{next, [T, 17]}, {slot, [T, -1]}, {slot, [T, 4097]}, {safe_fixtable, [T, 'maybe']},
             {first_lookup, [none_such]}, {table, [T, {n_objects, 0}]}, {to_dets, [T, none_such]},
             {info, [T, none_such]}],
    [begin
         {Function, As, Info} = badarg_of(F, Args),
         ?assertEqual({F, Args}, {Function, As}),
         #{error_info := #{module := Module}} = maps:from_list(Info),
         Reasons = Module:format_error(badarg, [{?ETS, F, Args, Info}]),
         ?assertMatch([{Position, _} | _] when Position >= 1, maps:to_list(Reasons))
     end || {F, Args} <- Calls].

badarg_of(Function, Args) ->
    try apply(?ETS, Function, Args) of
        _ -> answered
    catch
        error:badarg:Stack ->
            [{?ETS, F, As, Info} | _] = Stack,
            {F, As, Info}
    end.
