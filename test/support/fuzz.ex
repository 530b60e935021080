defmodule Blanket.Fuzz do
  @moduledoc """
  Random work without end, each part of it compared with what `:ets` does. A round takes a seed, and
  answers how much it has tried, or raises.
  """

  alias Blanket.{
    Coverage,
    Hostile,
    MatchPrograms,
    Mutation,
    Property,
    Table,
    TamperedFiles,
    Terms
  }

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  @doc "What may be fuzzed, and what is counted."
  @spec targets() :: [{name :: String.t(), unit :: String.t(), (seed :: integer -> pos_integer)}]
  def targets do
    [
      {"match_specs", "match specifications", &match_specs/1},
      {"key_order", "pairs of keys", &key_order/1},
      {"files", "files", &files/1},
      {"stubs", "calls", &stubs/1}
    ]
  end

  ## Stubs

  @doc "Calls of all stubs with any arguments: see `Blanket.Hostile`."
  @spec stubs(integer) :: pos_integer
  def stubs(seed) do
    Hostile.run(10_000, seed)
    Hostile.run_together(4, 1_000, seed)
    14_000
  end

  ## Files

  @doc "Files that were tampered with: see `Blanket.TamperedFiles`."
  @spec files(integer) :: pos_integer
  def files(seed) do
    dir = Path.join(System.tmp_dir!(), "blanket-fuzz-#{System.pid()}")
    File.mkdir_p!(dir)
    TamperedFiles.check(50, seed, dir)
    File.rm_rf!(dir)
    50
  end

  ## Match specifications

  @specs {__MODULE__, :specs}
  @first {:select, [[{:_, [], [:"$_"]}]]}
  @largest 300

  @doc """
  Match specifications from a grammar, and those that become of them when parts of one are put into another
  and parts are left out. One that runs a part of the library that never ran before, or is of a shape not seen
  before, is there to be changed further, most of those left aside that are wrong and only of a new shape.
  """
  @spec match_specs(integer) :: pos_integer
  def match_specs(seed) do
    :rand.seed(:exsss, seed)
    :proper_arith.rand_start({seed, 314, 159})
    type = Enum.random(@types)
    grown = MatchPrograms.sample(type, 20)
    corpus = List.to_tuple([@first | kept(@specs)])
    calls = grown.calls ++ for(_ <- 1..200, do: changed(corpus))
    program = {type, grown.keypos, grown.objects, calls}
    Coverage.new()

    with complaint when is_binary(complaint) <- MatchPrograms.compare(program, &remember/1) do
      table = "a #{type} with its keys at #{grown.keypos} and #{inspect(grown.objects)}"
      raise "#{complaint}\nin #{table}"
    end

    length(calls)
  end

  defp changed(corpus) do
    {function, [spec | limit]} = any(corpus)
    other = fn -> Mutation.part(corpus |> any() |> elem(1) |> hd()) end
    spec = Enum.reduce(1..:rand.uniform(3), spec, fn _, spec -> Mutation.mutate(spec, other) end)
    {function, [spec | limit]}
  end

  defp remember({_function, [spec | _limit]} = call) do
    runs_new? = Coverage.new() > 0

    cond do
      :erts_debug.flat_size(spec) >= @largest -> :ok
      runs_new? -> keep(@specs, {:runs_new, :erlang.phash2(call)}, call)
      runs?(spec) or :rand.uniform(40) == 1 -> keep(@specs, {:looks_new, shape(spec, 8)}, call)
      true -> :ok
    end
  end

  defp runs?(spec) do
    is_reference(:ets.match_spec_compile(spec))
  rescue
    ArgumentError -> false
  end

  defp shape(_term, 0), do: :deep
  defp shape(term, _depth) when is_atom(term), do: term
  defp shape(term, _depth) when is_number(term), do: :number
  defp shape([head | tail], depth), do: [shape(head, depth - 1) | shape(tail, depth)]
  defp shape(tuple, depth) when is_tuple(tuple), do: {shape(Tuple.to_list(tuple), depth - 1)}
  defp shape(map, depth) when is_map(map), do: {:map, shape(Map.to_list(map), depth - 1)}
  defp shape([], _depth), do: []
  defp shape(_term, _depth), do: :other

  ## The order of keys

  @keys {__MODULE__, :keys}
  @largest_key 60

  @doc """
  An `:ordered_set` of keys that are alike holds them in term order: then no two of their heads contradict
  it. Keys that are equal but not the same find one another. One that runs a part of the library that never ran
  before is there to be changed further.
  """
  @spec key_order(integer) :: pos_integer
  def key_order(seed) do
    :rand.seed(:exsss, seed)
    pool = List.to_tuple(generated_keys(seed) ++ Terms.numbers() ++ kept(@keys))
    other = fn -> any(pool) end
    keys = for _ <- 1..Enum.random([100, 250, 1_500]), do: pool |> any() |> alike(other)

    table = Table.new(:fuzz, [:ordered_set])
    Coverage.new()

    for key <- keys do
      Table.insert(table, {key})

      if Coverage.new() > 0 and :erts_debug.flat_size(key) < @largest_key,
        do: keep(@keys, {:runs_new, :erlang.phash2(key)}, key)
    end

    held = Table.tab2list(table)
    sorted = keys |> Enum.map(&{&1}) |> Enum.sort() |> without_equal()

    # Equal, and not the same: which of two equal keys stays is another matter.
    if held != sorted, do: raise("out of order: #{inspect(first_wrong(held))}")

    for key <- keys,
        twin = twin(key),
        not Table.member(table, twin),
        do: raise("#{inspect(twin)} does not find #{inspect(key)}")

    Table.delete(table)
    div(length(sorted) * (length(sorted) - 1), 2)
  end

  defp without_equal([one, two | rest]) when one == two, do: without_equal([one | rest])
  defp without_equal([one | rest]), do: [one | without_equal(rest)]
  defp without_equal([]), do: []

  defp generated_keys(seed) do
    keys = :proper_types.vector(60, :proper_types.resize(12, Terms.key()))

    keep = fn keys ->
      Process.put(__MODULE__, keys)
      :ok
    end

    :ok = Property.run(keys, 1, keep, seed)
    Process.get(__MODULE__)
  end

  defp alike(key, other) do
    case :rand.uniform(4) do
      1 -> key
      2 -> {key, other.()}
      _ -> Mutation.mutate(key, other)
    end
  end

  defp first_wrong(held) do
    held |> Enum.zip(tl(held)) |> Enum.find(fn {one, two} -> not (one < two) end)
  end

  # The same in floats for integers, and the other way round, where that is equal.
  defp twin(number) when is_integer(number) and abs(number) < 0x20000000000000, do: number / 1
  defp twin(number) when is_float(number) and trunc(number) == number, do: trunc(number)
  defp twin([head | tail]), do: [twin(head) | twin(tail)]
  defp twin(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> twin() |> List.to_tuple()
  defp twin(term), do: term

  ## What is there to be changed further

  @most 20_000

  defp kept(name), do: name |> Process.get(%{}) |> Map.values()

  # All that run what did not run before stay, and of those that only look new as many as there is place for.
  defp keep(name, key, value) do
    kept = Process.get(name, %{})

    if not is_map_key(kept, key) do
      kept = if map_size(kept) < @most, do: kept, else: Map.delete(kept, any_that_looks_new(kept))
      Process.put(name, Map.put(kept, key, value))
    end
  end

  defp any_that_looks_new(kept),
    do: kept |> Map.keys() |> Enum.filter(&match?({:looks_new, _}, &1)) |> Enum.random()

  defp any(tuple), do: elem(tuple, :rand.uniform(tuple_size(tuple)) - 1)
end
