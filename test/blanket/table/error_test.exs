defmodule Blanket.Table.ErrorTest do
  # For each function and each wrong argument: the same argument is blamed as by :ets, for a cause of the
  # same kind.
  use ExUnit.Case, async: true

  alias Blanket.Table

  # Each side has tables of its own: set, ordered_set, bag and duplicate_bag that hold {1, :a, 0} and
  # {2, :b, 0}, and tables of others.
  defp tables(module) do
    objects = [{1, :a, 0}, {2, :b, 0}]

    tables =
      for type <- [:set, :ordered_set, :bag, :duplicate_bag], into: %{} do
        table = module.new(:error_test, [type, :public])
        module.insert(table, objects)
        {type, table}
      end

    parent = self()

    owner =
      spawn_link(fn ->
        for protection <- [:private, :protected] do
          table = module.new(:error_test, [protection])
          module.insert(table, objects)
          send(parent, {protection, self(), table})
        end

        receive do: (:stop -> :ok)
      end)

    others =
      for protection <- [:private, :protected], into: %{} do
        receive do
          {^protection, ^owner, table} -> {protection, table}
        end
      end

    gone = module.new(:error_test, [])
    module.delete(gone)
    named = :"#{inspect(module)} error_test"
    module.new(named, [:named_table])

    tables
    |> Map.merge(others)
    |> Map.merge(%{gone: gone, not_a_table: 17, no_name: :error_test_no_such, named: named})
  end

  @spec_ok [{:_, [], [true]}]
  @bad_specs [:spec, [:spec], [{:_, []}], [{:_, [{:no_such, 1}], [true]}], [{:_, [], [:"$1"]}]]
  @not_integers [:a, 1.0]

  # What each function is given behind the table, all of it valid.
  @calls [
    delete: [],
    delete: [1],
    delete_all_objects: [],
    delete_object: [{1, :a}],
    first: [],
    last: [],
    next: [1],
    prev: [1],
    insert: [{1, 2}],
    insert: [[{1, 2}, {3, 4}]],
    insert_new: [{1, 2}],
    insert_new: [[{5, 2}, {3, 4}]],
    lookup: [1],
    lookup_element: [1, 2],
    match: [:"$1"],
    match: [:"$1", 1],
    match_delete: [{:_, :no_such}],
    match_object: [:"$1"],
    match_object: [:"$1", 1],
    member: [1],
    safe_fixtable: [false],
    select: [@spec_ok],
    select: [@spec_ok, 1],
    select_count: [@spec_ok],
    select_delete: [[{:_, [], [false]}]],
    select_replace: [[{:_, [], [:"$_"]}]],
    select_reverse: [@spec_ok],
    select_reverse: [@spec_ok, 1],
    slot: [0],
    tab2list: [],
    take: [7],
    update_counter: [1, {3, 1}],
    update_counter: [1, {3, 1}, {1, 2, 3}],
    update_element: [1, {2, :x}],
    rename: [:error_test_renamed],
    setopts: [{:heir, :none}],
    give_away: [:other, :data],
    info: [:size]
  ]

  @wrong for(
           objects <- [
             {},
             17,
             [{}],
             [{1}, 17],
             :a,
             [:a],
             {:improper, {1, 2}, :tail}
           ],
           function <- [:insert, :insert_new],
           do: {:set, function, [objects]}
         ) ++
           for(object <- [{}, 17, []], do: {:set, :delete_object, [object]}) ++
           for(
             pos <- [0, 4, 5, -1 | @not_integers],
             type <- [:set, :ordered_set, :bag, :duplicate_bag],
             key <- [1, 9],
             do: {type, :lookup_element, [key, pos]}
           ) ++
           for(
             limit <- [0, -1 | @not_integers],
             {function, argument} <- [
               match: :"$1",
               match_object: :"$1",
               select: @spec_ok,
               select_reverse: @spec_ok
             ],
             type <- [:set, :ordered_set],
             do: {type, function, [argument, limit]}
           ) ++
           for(
             spec <- @bad_specs,
             type <- [:set, :ordered_set],
             {function, more} <- [
               select: [],
               select: [1],
               select_reverse: [],
               select_reverse: [1],
               select_count: [],
               select_delete: [],
               select_replace: []
             ],
             do: {type, function, [spec | more]}
           ) ++
           for(
             spec <- @bad_specs,
             function <- [:select, :select_reverse],
             do: {:set, function, [spec, 0]}
           ) ++
           for(
             function <- [:next, :prev],
             type <- [:set, :bag, :duplicate_bag],
             do: {type, function, [9]}
           ) ++
           for(
             slot <- [-1, 1_000_000 | @not_integers],
             type <- [:set, :ordered_set],
             do: {type, :slot, [slot]}
           ) ++
           for(value <- [:a, 1], do: {:set, :safe_fixtable, [value]}) ++
           for(
             options <- [
               :a,
               {:heir, 1},
               [{:keypos, 2}],
               [heir: :none, heir: :none],
               [:public | :tail]
             ],
             do: {:set, :setopts, [options]}
           ) ++
           for(name <- [1, "name"], do: {:set, :rename, [name]}) ++
           [{:named, :rename, [:taken]}] ++
           for(pid <- [:dead, :self, :a, 1], do: {:set, :give_away, [pid, :data]}) ++
           for(item <- [:no_such, 1], do: {:set, :info, [item]}) ++
           for(
             operation <- [
               :a,
               1.0,
               {},
               {1},
               {3, :a},
               {:a, 1},
               {1, 1},
               {0, 1},
               {9, 1},
               {2, 1},
               1,
               [{3, 1}, {2, 1}],
               [{3, 1}, :a],
               [3],
               {3, 1, :a, 1},
               {3, 1, 1},
               {3, 1, 1, 1.0}
             ],
             key <- [1, 9],
             default <- [[], [{9, 8, 7}], [17]],
             # OTP 25 may die of {} as a default.
             do: {:set, :update_counter, [key, operation | default]}
           ) ++
           for(type <- [:bag, :duplicate_bag], do: {type, :update_counter, [1, {3, 1}]}) ++
           for(
             type <- [:bag, :duplicate_bag],
             do: {type, :update_counter, [1, {3, 1}, {1, 1, 1}]}
           ) ++
           for(
             element <- [
               :a,
               {},
               {2},
               {2, 3, 4},
               {:a, 1},
               {0, 1},
               {1, 1},
               {4, 1},
               [{2, 1}, {1, 1}],
               [{2, 1}, {9, 1}],
               [{2, 1} | :tail],
               [:a]
             ],
             key <- [1, 9],
             do: {:set, :update_element, [key, element]}
           ) ++
           for(type <- [:bag, :duplicate_bag], do: {type, :update_element, [1, {2, 1}]}) ++
           [{:bag, :select_replace, [[{:_, [], [:"$_"]}]]}] ++
           for(
             spec <- [[{:_, [], [true]}], [{{:"$1", :_}, [], [{{2, 3}}]}]],
             do: {:set, :select_replace, [spec]}
           ) ++
           for(
             function <- [:match, :match_object, :select, :select_reverse],
             continuation <- [:a, {}, {1, 2, 3}, [], 1],
             do: {:none, function, [continuation]}
           ) ++
           for(
             name <- [:name, 1, "name"],
             options <- [[:no_such], [{:keypos, 0}], [:set | :tail], :a, [], [{:heir, 1, 2}]],
             do: {:none, :new, [name, options]}
           ) ++
           [{:none, :new, [:taken, [:named_table]]}] ++
           for(name <- [1, "name", {}], do: {:none, :whereis, [name]}) ++
           for(spec <- @bad_specs, do: {:none, :match_spec_compile, [spec]})

  # Of a wrong table all is told by its argument.
  @no_use for {function, args} <- @calls,
              which <- [:gone, :not_a_table, :no_name, :private, :protected],
              do: {which, function, args}

  # What :ets says, and what Blanket says then.
  @kinds [
    {~r/does not refer to an existing ETS table/, ~r/does not refer to an existing table/},
    {~r/not an atom or a table identifier/, ~r/neither the reference nor the name of a table/},
    {~r/insufficient access rights/, ~r/insufficient access rights|only its owner may/},
    {~r/type not supported by this operation/, ~r/not possible on a (bag|duplicate_bag)/},
    {~r/not a key that exists/, ~r/not an existing key/},
    {~r/position is greater than the size/, ~r/has no element at/},
    {~r/position in the update operation is out of range/, ~r/has no element at/},
    {~r/the same as the key position/, ~r/is the key, which cannot be changed/},
    {~r/not a valid update operation/, ~r/not a valid update operation/},
    {~r/in the object, is not an integer/, ~r/is not an integer|not a valid update operation/},
    {~r/not a valid element specification/,
     ~r/not a valid {position, value}|has no element at 0/},
    {~r/^not an integer/, ~r/not an integer/},
    {~r/^out of range/, ~r/out of range|has no element at|not an integer/},
    {~r/is an empty tuple/, ~r/a tuple without elements/},
    {~r/not a non-empty tuple or a list/, ~r/in the list: |not a proper list/},
    {~r/^not a tuple/, ~r/not a tuple|neither a tuple nor a list/},
    {~r/^not a (proper )?list/, ~r/not a proper list/},
    {~r/not an atom|must be an atom/, ~r/not an atom/},
    {~r/name already exists/, ~r/the name belongs to another table/},
    {~r/invalid options/, ~r/not a valid option|not a proper list/},
    {~r/not a valid info item/, ~r/not an item of the table's info/},
    {~r/not a boolean/, ~r/neither true nor false/},
    {~r/not a valid match spec/, ~r/not a valid match spec|may change the key/},
    {~r/invalid continuation/, ~r/not a (valid|usable) continuation/},
    {~r/not a pid/, ~r/not a pid/},
    {~r/terminated process/, ~r/not alive/},
    {~r/already the owner/, ~r/owns the table already/}
  ]

  test "whatever is wrong, the argument is blamed that :ets blames, and for such a cause" do
    known = %{
      other: spawn_link(fn -> receive do: (:stop -> :ok) end),
      dead: dead(),
      self: self(),
      taken: :error_test_taken
    }

    sides = for module <- [:ets, Table], do: {module, tables(module)}
    for {module, _} <- sides, do: module.new(known.taken, [:named_table])

    complaints =
      for {which, function, args} <- @no_use ++ @wrong,
          [expected, got] =
            for(
              {module, tables} <- sides,
              do: blame(module, tables, known, which, function, args)
            ),
          complaint = complaint(expected, got, {which, function, args}),
          do: complaint

    assert complaints == []
  end

  defp dead do
    {pid, monitor} = spawn_monitor(fn -> :ok end)
    receive do: ({:DOWN, ^monitor, _, _, _} -> pid)
  end

  defp complaint(:answered, :answered, _call), do: nil

  # OTP fails to tell what is wrong with improper lists.
  defp complaint(:untold, blamed, _call) when is_map(blamed) and map_size(blamed) > 0, do: nil

  # Here OTP blames the position, whatever it is.
  defp complaint(
         %{3 => "out of range"},
         %{1 => "not possible on a" <> _},
         {_, :update_element, _}
       ),
       do: nil

  defp complaint(expected, got, call) when is_map(expected) and is_map(got) do
    [theirs, ours] = Enum.map([expected, got], &Map.keys/1)
    same? = if both_wrong?(call), do: theirs -- ours == [], else: theirs == ours

    unless same? and Enum.all?(expected, fn {position, text} -> alike?(text, got[position]) end),
      do: {call, expected, got}
  end

  defp complaint(expected, got, call), do: {call, expected, got}

  # And OTP does not always say of both.
  defp both_wrong?({_, :new, [name, options]}), do: not is_atom(name) and options != []
  defp both_wrong?({_, :update_counter, [_, _, default]}), do: default == 17
  defp both_wrong?(_call), do: false

  defp alike?(of_ets, of_blanket) do
    {_, ours} = Enum.find(@kinds, fn {theirs, _} -> of_ets =~ theirs end) || {nil, ~r/no kind/}
    of_blanket =~ ours
  end

  # By argument, what was wrong.
  defp blame(module, tables, known, which, function, args) do
    args = Enum.map(args, &arg(&1, known))
    args = if which == :none, do: args, else: [tables[which] | args]
    apply(module, function, args)
    :answered
  catch
    :error, :badarg -> told(__STACKTRACE__)
  end

  defp arg({:improper, head, tail}, _known), do: [head | tail]
  defp arg(arg, known) when is_atom(arg), do: Map.get(known, arg, arg)
  defp arg(arg, _known), do: arg

  defp told([{_module, _function, _args, location} | _] = stacktrace) do
    module = Keyword.fetch!(location, :error_info)[:module] || :erl_stdlib_errors

    for {position, text} <- module.format_error(:badarg, stacktrace),
        into: %{},
        do: {position, to_string(text)}
  rescue
    FunctionClauseError -> :untold
  end
end
