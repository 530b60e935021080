defmodule Bench.Child.Memory do
  @moduledoc """
  How much memory tables take, in an operating-system process of its own.

  Prints in bytes what `info(table, :memory)` says and what the operating system gave to the process:
  after loading, and again after ten times as many overwrites and deletes as there are objects.
  """

  alias Bench.Data

  # Has no factor in common with the numbers of objects, so its multiples are each key once, spread out.
  @stride 7_368_787

  @doc """
  The arguments: `ETS` or a module, the type of the table, what it holds, and of how many.

  It holds objects `{integer, integer}` (`small`) or `{binary, map of ten fields}` (`map`), or there
  are that many empty tables (`empty`).
  """
  def main(arguments) do
    [module, type, shape, count] = Enum.map(arguments, &List.to_string/1)
    module = if module == "ETS", do: :ets, else: Module.concat([module])
    type = String.to_existing_atom(type)
    measure(module, type, shape, String.to_integer(count))
    System.halt()
  end

  defp measure(module, type, "empty", count) do
    tables = for _ <- 1..count, do: new(module, type)
    print(Enum.sum(for t <- tables, do: info(module, t)))
  end

  defp measure(module, type, shape, count) do
    shape = %{"small" => :flat, "map" => :map}[shape]
    t = fill(module, type, shape, count)
    print(info(module, t))
    in_a_process(fn -> for round <- 1..10, do: churn(module, t, shape, count, round) end)
    print(info(module, t))
  end

  defp print(info), do: IO.puts("#{info} #{settled()}")
  defp new(module, type), do: module.new(:bench, [type, :public])
  defp info(module, t), do: module.info(t, :memory) * :erlang.system_info(:wordsize)

  defp fill(module, type, shape, count) do
    t = new(module, type)
    in_a_process(fn -> each(count, 0, &module.insert(t, object(shape, &1, 0))) end)
    t
  end

  # Half of the objects is deleted and comes back, the other half is overwritten.
  defp churn(module, t, shape, count, round) do
    each(count, round, fn i ->
      if rem(i + round, 2) == 0,
        do: module.delete(t, key(shape, i)),
        else: module.insert(t, object(shape, i, round))
    end)

    each(count, round, fn i ->
      if rem(i + round, 2) == 0, do: module.insert(t, object(shape, i, round))
    end)
  end

  defp each(count, round, function) do
    for i <- 1..count, do: function.(rem(i * @stride + round, count) + 1)
    :ok
  end

  defp object(:flat, i, round), do: {i, i + round}
  defp object(:map, i, round), do: {Data.key(:binary, i), Data.fields(i + round)}
  defp key(:flat, i), do: i
  defp key(:map, i), do: Data.key(:binary, i)

  # Its garbage goes with it.
  defp in_a_process(function), do: Task.await(Task.async(function), :infinity)

  # The memory that the operating system gave, once it stays the same.
  defp settled, do: settled(nil, 0)
  defp settled(bytes, 10), do: bytes

  defp settled(last, same) do
    for process <- Process.list(), do: :erlang.garbage_collect(process)
    Process.sleep(20)
    bytes = resident()
    settled(bytes, if(bytes == last, do: same + 1, else: 0))
  end

  defp resident do
    [_, kilobytes] = Regex.run(~r/RssAnon:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kilobytes) * 1024
  end
end
