defmodule Blanket.HostileTerms do
  @moduledoc """
  Arguments that no caller ought to pass: right ones, wrong ones, and right ones with something wrong in
  them.
  """

  import Bitwise

  alias Blanket.{Mutation, Native, Table, Terms}

  @type pools :: %{atom => tuple}

  @doc """
  Values to draw from, by what they are good for. `pids` are processes that may be given a table.
  """
  @spec pools([pid]) :: pools
  def pools(pids) do
    Map.new(
      [
        strange: strange() ++ Enum.reject(Terms.others(), &is_pid/1),
        keys: keys(),
        numbers: Terms.numbers() ++ [-2, 3, 4, 1 <<< 31, -(1 <<< 31), 1 <<< 32, 1.0e300],
        positions: [1, 2, 3, 4, 40],
        objects: objects(),
        lists: lists(),
        operations: operations(),
        specs: specs(),
        names: names(),
        settings: settings(pids),
        changes: changes(pids),
        pids: [self(), dead_process(), remote_process() | pids],
        resources: resources()
      ],
      fn {kind, values} -> {kind, List.to_tuple(values)} end
    )
  end

  @doc """
  A value of the pools, or of `others`, with something in it replaced now and then.
  """
  @spec value(pools, tuple) :: term
  def value(pools, others) do
    case :rand.uniform(20) do
      n when n <= 4 -> mutate(plain(pools, others), pools)
      5 -> heavy()
      _ -> plain(pools, others)
    end
  end

  defp plain(pools, others) do
    if tuple_size(others) > 0 and :rand.uniform(6) == 1,
      do: pick(others),
      else: pools |> Map.fetch!(pick(kinds())) |> pick()
  end

  defp kinds do
    {:strange, :keys, :keys, :numbers, :objects, :objects, :lists, :operations, :specs, :names,
     :settings, :pids, :resources}
  end

  @doc """
  A value that is right for many stubs as their first, second or a later argument.
  """
  @spec likely(pools, pos_integer) :: term
  def likely(pools, 1), do: pools |> Map.fetch!(pick({:settings, :resources, :specs})) |> pick()

  def likely(pools, 2),
    do:
      pools
      |> Map.fetch!(pick({:keys, :keys, :objects, :specs, :names, :lists, :resources, :changes}))
      |> pick()

  def likely(pools, _place),
    do: pools |> Map.fetch!(pick({:positions, :positions, :operations, :objects})) |> pick()

  @doc "One of a tuple's elements."
  @spec pick(tuple) :: term
  def pick(values), do: elem(values, :rand.uniform(tuple_size(values)) - 1)

  @doc """
  The term with something in it that is different: an element more, less or another, a tail, an end.
  """
  @spec mutate(term, pools) :: term
  def mutate(term, pools) do
    other = fn -> plain(pools, {}) end

    case :rand.uniform(8) do
      1 -> [term | other.()]
      2 -> {term}
      3 -> {term, other.()}
      4 -> List.duplicate(term, :rand.uniform(40))
      _ -> Mutation.mutate(term, other)
    end
  end

  ## What there is to draw from

  @doc "The keys that tables are filled with."
  @spec keys() :: [term]
  def keys do
    [0, 1, 2, 1.0, -0.0, :a, :b, "a", "ab", {1, 2}, {1.0, 2}, [1], [], %{a: 1}, 1 <<< 64] ++
      ["prefix-shared-by-many-keys-#{1}", String.duplicate("k", 100)]
  end

  defp strange do
    [
      [],
      [:a | :b],
      [1, 2 | 3],
      {},
      {{}},
      "",
      <<1::1>>,
      true,
      false,
      nil,
      :undefined,
      :start,
      :"$end_of_table",
      :infinity,
      # Of other nodes.
      :erlang.binary_to_term(<<131, 90, 0, 3, 100, 0, 3, "x@y", 0, 0, 0, 1, 0::96>>),
      :erlang.binary_to_term(<<131, 103, 100, 0, 3, "x@y", 0::32, 0::32, 1>>),
      &Table.lookup/2,
      fn -> :ok end
    ]
  end

  defp objects do
    for(key <- [0, 1, 2, 1.0, :a, "a", {1, 2}], value <- [1, :x, "x"], do: {key, value, 0}) ++
      [{1}, {:a, 1}, {0, 0, 0, 0, 0, 0, 0, 0}, {1, 2, 3, "four", [5], 6.0}] ++
      [{2, String.duplicate("large ", 100), 1}, {"a", make_ref(), fn -> 1 end}] ++
      [{:compressible, List.duplicate({"all", :alike}, 60)}]
  end

  defp lists do
    few = [{1, 1}, {2, 2}, {:a, "b"}]
    many = for i <- 1..40, do: {i, i, "#{i}"}

    [few, many, few ++ [:no_object], many ++ [{}], few ++ :improper, many ++ :improper] ++
      [many ++ [[]], [{}], [[]], Enum.map(many, &elem(&1, 0)), [1, :a, "a" | 1]]
  end

  defp operations do
    [1, -1, {2, 1}, {3, 1}, {2, 1, 5, 0}, {3, -1, 0, 7}, {1, 1}, {9, 1}, {2, 1 <<< 70}, {0, 1}] ++
      [[], [{2, 1}, {3, 1}], [{3, 1}, {9, 1}], [{3, 1}, {3, :a}], [{3, 1} | {3, 1}]] ++
      [{2, :new}, {3, "new"}, [{2, :x}, {3, :y}], [{2, :x}, {1, :y}], [{3, 0}, :no], {2, 1, 5}]
  end

  defp specs do
    [
      [{:"$1", [], [:"$1"]}],
      [{:_, [], [true]}],
      [{{:"$1", :"$2", :"$3"}, [{:>, :"$3", 0}], [true]}],
      [{{:"$1", :_, :_}, [], [:"$_"]}],
      [{{:"$1", :"$2", :"$3"}, [], [{{:"$1", :"$2", 9}}]}],
      [{{1, :"$2", :_}, [], [{{1, :"$2", :swapped}}]}],
      [{{:"$1", :"$2", :_}, [{:==, :"$1", 1}], [{{:"$1", :"$2"}}]}],
      [{{:a, :_, :_}, [], [{:element, 2, :"$_"}]}, {{1, :_, :_}, [], [true]}],
      [{{{1, :"$1"}, :_, :_}, [{:is_integer, :"$1"}], [:"$$"]}],
      [{{:"$1", :"$2"}, [], [{:self}]}],
      [],
      [{:_, [], []}],
      [{:_, [], [:"$1"]}],
      [{:_, []}],
      [{:_, [], [true]} | :improper],
      :spec,
      [{{:"$1"}, [{:no_function, 1}], [1]}],
      [{:"$1", [:a | :b], [1]}],
      [{[], [], [true]}]
    ]
  end

  defp names do
    [:set, :ordered_set, :bag, :duplicate_bag, true, false, :start, :hostile_name, :hostile_other]
  end

  defp settings(pids) do
    for type <- [:set, :ordered_set, :bag, :duplicate_bag, :no_type],
        heir <- [:none, :immortal, {hd(pids)}, {hd(pids), [:data]}, {:no_pid, 1}],
        keypos <- [1, 2, 0, -1, (1 <<< 60) - 1, 1 <<< 62, 1 <<< 64] do
      named? = :rand.uniform(2) == 1
      protection = pick({:public, :protected, :private, :none})
      options = {false, pick({true, :auto, 1}), false, pick({true, false})}
      {:hostile_new, type, protection, named?, keypos, heir, options}
    end
  end

  defp changes(pids) do
    [{:none, :public}, {:unchanged, :private}, {:immortal, :unchanged}, {{hd(pids)}, :public}]
  end

  defp resources do
    table = Table.new(:hostile, [:ordered_set, :private])
    for i <- 1..5, do: Table.insert(table, {i, i})
    spec = Native.compile_match_spec([{:"$1", [], [:"$1"]}], :set, 1)
    {_objects, cursor} = Native.scan(full_table(), :start)
    {_results, continuation} = Native.select(table, [{{:"$1", :_}, [], [:"$1"]}], 2)
    deleted = Table.new(:hostile, [])
    Table.delete(deleted)
    ets = :ets.new(:hostile, [:public])

    [table, deleted, ets, spec, cursor, continuation, make_ref(), :atomics.new(1, [])] ++
      for(way <- [:forward, :backward, :"$end_of_table"], do: {table, 2, 3, spec, [1, 2], way}) ++
      [
        put_elem(continuation, 0, ets),
        put_elem(continuation, 3, cursor),
        Tuple.to_list(continuation)
      ]
  end

  defp full_table do
    table = Table.new(:hostile, [])
    Table.insert(table, for(i <- 1..300, do: {i}))
    table
  end

  defp dead_process do
    {pid, monitor} = spawn_monitor(fn -> :ok end)
    receive do: ({:DOWN, ^monitor, _, _, _} -> pid)
  end

  defp remote_process,
    do: :erlang.binary_to_term(<<131, 103, 100, 0, 3, "x@y", 7::32, 0::32, 1>>)

  # Made when they are needed, for most calls copy them.
  defp heavy do
    case :rand.uniform(60) do
      1 -> Enum.reduce(1..20_000, [], fn _, inner -> [inner] end)
      2 -> Enum.reduce(1..20_000, {}, fn i, inner -> {inner, i} end)
      3 -> Enum.reduce(1..2_000, %{}, fn i, inner -> %{i => inner} end)
      4 -> {1, :binary.copy("large", 200_000)}
      5 -> for(i <- 1..5_000, do: {i, i})
      6 -> for(i <- 1..5_000, do: {i, i}) ++ [:no_object]
      7 -> for(i <- 1..5_000, do: {i, i}) ++ :improper
      8 -> Tuple.duplicate(1, 20_000)
      9 -> 1 <<< 100_000
      10 -> Enum.reduce(1..12, :leaf, fn _, inner -> [inner | inner] end)
      11 -> [{Enum.reduce(1..300, :"$1", fn _, inner -> {inner} end), [], [:"$1"]}]
      12 -> [{:"$1", [Enum.reduce(1..300, :"$1", fn _, inner -> {:not, inner} end)], [:"$1"]}]
      _ -> :rand.uniform(1 <<< 70)
    end
  end
end
