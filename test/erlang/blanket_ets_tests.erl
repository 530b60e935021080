%% The functions of Blanket.Table and of Blanket from Erlang, in the way that Erlang code uses ets.
-module(blanket_ets_tests).

-include_lib("stdlib/include/assert.hrl").
-include_lib("stdlib/include/ms_transform.hrl").

-compile([export_all, nowarn_export_all]).

-define(ETS, 'Elixir.Blanket.Table').

-record(user, {id, name, age = 0, tags = []}).

users() ->
    [#user{id = 1, name = "Ada", age = 36}, #user{id = 2, name = "Grace", age = 85},
     #user{id = 3, name = "Barbara", age = 29, tags = [new]}].

users(Type) ->
    T = ?ETS:new(users, [Type, public, {keypos, #user.id}]),
    true = ?ETS:insert(T, users()),
    T.

%% A table's life

tables_are_made_named_renamed_and_deleted_test() ->
    blanket_erlang = ?ETS:new(blanket_erlang, [named_table, ordered_set]),
    Ref = ?ETS:whereis(blanket_erlang),
    ?assert(is_reference(Ref)),
    ?assert(lists:member(blanket_erlang, ?ETS:all())),
    true = ?ETS:insert(blanket_erlang, {a, 1}),
    ?assertEqual([{a, 1}], ?ETS:lookup(Ref, a)),
    ?assertEqual(blanket_erlang_2, ?ETS:rename(blanket_erlang, blanket_erlang_2)),
    ?assertEqual(undefined, ?ETS:whereis(blanket_erlang)),
    ?assertEqual(undefined, ?ETS:info(blanket_erlang, size)),
    ?assertEqual(true, ?ETS:delete(blanket_erlang_2)),
    ?assertEqual(undefined, ?ETS:info(Ref)),
    ?assertError(badarg, ?ETS:lookup(Ref, a)).

info_tells_what_ets_tells_test() ->
    Options = [bag, public, {keypos, 2}, {read_concurrency, true}],
    Items = [id, memory, size, owner],
    [Expected, Got] = [M:info(M:new(t, Options)) || M <- [ets, ?ETS]],
    ?assertEqual(lists:sort([K || {K, _} <- Expected]), lists:sort([K || {K, _} <- Got])),
    ?assertEqual([], [E || {K, _} = E <- Expected -- Got, not lists:member(K, Items)]),
    ?assertEqual(self(), proplists:get_value(owner, Got)).

tables_go_to_others_test() ->
    Self = self(),
    T = ?ETS:new(t, [private, {heir, Self, inherited}]),
    Friend = spawn(fun() ->
                       receive {'ETS-TRANSFER', Tab, From, gift} -> ok end,
                       true = ?ETS:insert(Tab, {from, From})
                   end),
    true = ?ETS:give_away(T, Friend, gift),
    receive {'ETS-TRANSFER', T, Friend, inherited} -> ok end,
    ?assertEqual([{from, Self}], ?ETS:lookup(T, from)),
    true = ?ETS:setopts(T, [{heir, none}, {protection, public}]),
    ?assertEqual({none, public}, {?ETS:info(T, heir), ?ETS:info(T, protection)}).

others_may_do_what_the_protection_says_test() ->
    [begin
         T = ?ETS:new(t, [Protection]),
         true = ?ETS:insert(T, {a, 1}),
         ?assertEqual({Read, Write},
                      elsewhere(fun() -> {class(fun() -> ?ETS:lookup(T, a) end),
                                          class(fun() -> ?ETS:insert(T, {b, 1}) end)} end))
     end || {Protection, Read, Write} <- [{public, ok, ok}, {protected, ok, {error, badarg}},
                                          {private, {error, badarg}, {error, badarg}}]].

elsewhere(Fun) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> Self ! {self(), Fun()} end),
    receive {Pid, Answer} -> erlang:demonitor(Monitor, [flush]), Answer end.

class(Fun) ->
    try Fun() of _ -> ok catch Class:Reason -> {Class, Reason} end.

%% Objects

objects_are_written_read_and_taken_test() ->
    [begin
         T = users(Type),
         [Ada | _] = users(),
         ?assertEqual([Ada], ?ETS:lookup(T, 1)),
         Name = case Type of
                    bag -> ["Grace"];
                    duplicate_bag -> ["Grace"];
                    _ -> "Grace"
                end,
         ?assertEqual(Name, ?ETS:lookup_element(T, 2, #user.name)),
         ?assertEqual(nobody, ?ETS:lookup_element(T, 4, #user.name, nobody)),
         ?assertError(badarg, ?ETS:lookup_element(T, 4, #user.name)),
         ?assertEqual({true, false}, {?ETS:member(T, 1), ?ETS:member(T, 4)}),
         ?assertEqual(false, ?ETS:insert_new(T, Ada)),
         ?assertEqual(true, ?ETS:insert_new(T, [#user{id = 4}, #user{id = 5}])),
         ?assertEqual(true, ?ETS:delete(T, 4)),
         ?assertEqual(true, ?ETS:delete_object(T, #user{id = 5})),
         ?assertEqual([Ada], ?ETS:take(T, 1)),
         ?assertEqual([], ?ETS:take(T, 1)),
         ?assertEqual(tl(users()), lists:sort(?ETS:tab2list(T))),
         ?assertEqual(true, ?ETS:delete_all_objects(T)),
         ?assertEqual(0, ?ETS:info(T, size))
     end || Type <- [set, ordered_set, bag, duplicate_bag]].

elements_are_updated_in_place_test() ->
    [begin
         T = users(Type),
         ?assertEqual(37, ?ETS:update_counter(T, 1, {#user.age, 1})),
         ?assertEqual([38, 0], ?ETS:update_counter(T, 1, [{#user.age, 1}, {#user.age, 1, 38, 0}])),
         ?assertEqual(1, ?ETS:update_counter(T, 9, {#user.age, 1}, #user{id = 9})),
         ?assertError(badarg, ?ETS:update_counter(T, 1, {#user.name, 1})),
         ?assertEqual(true, ?ETS:update_element(T, 1, [{#user.age, 40}, {#user.tags, [old]}])),
         ?assertEqual(false, ?ETS:update_element(T, 10, {#user.age, 40})),
         ?assertEqual([#user{id = 1, name = "Ada", age = 40, tags = [old]}], ?ETS:lookup(T, 1))
     end || Type <- [set, ordered_set]].

keys_are_the_same_as_on_ets_test() ->
    Keys = [1, 1.0, 0, -0.0, 1 bsl 70, a, 'привет', "list", <<"binary">>, <<5:3>>, {1, {2}}, [a | b],
            #{k => v}, self(), make_ref(), fun lists:map/2, fun(X) -> X end, [], {}],
    [begin
         Tables = [{M, M:new(t, [Type])} || M <- [ets, ?ETS]],
         [M:insert(T, {K, N}) || {M, T} <- Tables, {K, N} <- lists:zip(Keys, lists:seq(1, length(Keys)))],
         [Expected, Got] = [[M:lookup(T, K) || K <- Keys] || {M, T} <- Tables],
         ?assertEqual(Expected, Got),
         [Listed, GotListed] = [M:tab2list(T) || {M, T} <- Tables],
         ?assertEqual(lists:sort(Listed), lists:sort(GotListed)),
         Type =:= ordered_set andalso ?assertEqual(Listed, GotListed)
     end || Type <- [set, ordered_set, bag, duplicate_bag]].

ordered_sets_are_walked_both_ways_test() ->
    T = users(ordered_set),
    ?assertEqual({1, 3}, {?ETS:first(T), ?ETS:last(T)}),
    ?assertEqual({3, 2}, {?ETS:next(T, 2), ?ETS:prev(T, 2.5)}),
    ?assertEqual({'$end_of_table', '$end_of_table'}, {?ETS:next(T, 3), ?ETS:prev(T, 1)}).

%% Match specifications

functions_become_match_specifications_test() ->
    [begin
         T = users(Type),
         Old = ets:fun2ms(fun(#user{name = Name, age = Age}) when Age > 30 -> Name end),
         ?assertEqual(["Ada", "Grace"], lists:sort(?ETS:select(T, Old))),
         Count = ets:fun2ms(fun(#user{age = Age}) when Age < 40 -> true end),
         ?assertEqual(2, ?ETS:select_count(T, Count)),
         Least = 50,
         Bound = ets:fun2ms(fun(#user{age = Age} = User) when Age >= Least -> User end),
         ?assertEqual([#user{id = 2, name = "Grace", age = 85}], ?ETS:select(T, Bound)),
         ?assertEqual(1, ?ETS:select_delete(T, ets:fun2ms(fun(#user{tags = [new]}) -> true end))),
         ?assertEqual(2, ?ETS:info(T, size))
     end || Type <- [set, ordered_set, bag, duplicate_bag]].

objects_are_replaced_where_they_match_test() ->
    T = users(ordered_set),
    Older = ets:fun2ms(fun({user, Id, Name, Age, Tags}) when Age < 50 ->
                               {user, Id, Name, Age + 1, Tags}
                       end),
    ?assertEqual(2, ?ETS:select_replace(T, Older)),
    ?assertEqual([37, 85, 30], [Age || #user{age = Age} <- ?ETS:tab2list(T)]),
    ?assertError(badarg, ?ETS:select_replace(T, [{#user{_ = '_'}, [], [other]}])).

patterns_are_matched_test() ->
    T = users(ordered_set),
    ?assertEqual([[1, "Ada"]], ?ETS:match(T, #user{id = '$1', name = '$2', age = 36, _ = '_'})),
    ?assertEqual([hd(users())], ?ETS:match_object(T, #user{name = "Ada", _ = '_'})),
    ?assertEqual(true, ?ETS:match_delete(T, #user{name = "Ada", _ = '_'})),
    ?assertEqual(false, ?ETS:member(T, 1)).

selections_come_in_portions_test() ->
    All = [{I, I} || I <- lists:seq(1, 1000)],
    Spec = ets:fun2ms(fun({K, _} = Object) when K rem 2 =:= 0 -> Object end),
    Even = [Object || {K, _} = Object <- All, K rem 2 =:= 0],
    [begin
         T = ?ETS:new(t, [Type]),
         true = ?ETS:insert(T, All),
         ?assertEqual(Even, lists:sort(portions(?ETS:select(T, Spec, 7)))),
         Type =:= ordered_set andalso
             ?assertEqual(lists:reverse(Even), portions(?ETS:select_reverse(T, Spec, 7))),
         {First, Continuation} = ?ETS:select(T, Spec, 7),
         Stored = binary_to_term(term_to_binary(Continuation)),
         Repaired = ?ETS:repair_continuation(Stored, Spec),
         ?assertEqual(Even, lists:sort(First ++ portions(?ETS:select(Repaired)))),
         ?assertEqual('$end_of_table', ?ETS:select(T, [{{none, '_'}, [], ['$_']}], 7))
     end || Type <- [set, ordered_set, bag, duplicate_bag]].

portions('$end_of_table') -> [];
portions({Objects, Continuation}) -> Objects ++ portions(?ETS:select(Continuation)).

specifications_are_tried_and_compiled_test() ->
    Spec = ets:fun2ms(fun({K, V}) when V > 1 -> K end),
    ?assertEqual({ok, b}, ?ETS:test_ms({b, 2}, Spec)),
    ?assertEqual({ok, false}, ?ETS:test_ms({a, 1}, Spec)),
    Compiled = ?ETS:match_spec_compile(Spec),
    ?assert(?ETS:is_compiled_ms(Compiled)),
    ?assertEqual([b, c], ?ETS:match_spec_run([{a, 1}, {b, 2}, {c, 3}], Compiled)).

%% Tables that are kept

%% What `use Blanket` defines in Elixir.
get_owner_pid(Owner) -> 'Elixir.Blanket':get_owner_pid(Owner).

owners_get_their_table_back_test() ->
    {ok, _} = application:ensure_all_started(blanket),
    [?assertEqual(N, start_and_kill(fun(Owner) ->
                                        {ok, _} = 'Elixir.Blanket':new(?MODULE, Owner, {counts, [private]}),
                                        register(Owner, self()),
                                        'Elixir.Blanket':receive_table()
                                    end))
     || N <- lists:seq(1, 5)].

owners_claim_their_table_test() ->
    {ok, _} = application:ensure_all_started(blanket),
    [?assertEqual(N, start_and_kill(fun(Owner) ->
                                        'Elixir.Blanket':claim_table({Owner, claimed},
                                                                     [{create_table, {counts, [set]}}])
                                    end))
     || N <- lists:seq(1, 5)].

start_and_kill(Get) ->
    Self = self(),
    {Pid, Monitor} =
        spawn_monitor(fun() ->
                          {ok, T} = Get(blanket_erlang_owner),
                          Self ! {self(), ?ETS:update_counter(T, starts, 1, {starts, 0})},
                          receive never -> ok end
                      end),
    receive
        {Pid, Count} ->
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, killed} -> Count end;
        {'DOWN', Monitor, process, Pid, Reason} ->
            error(Reason)
    end.
