defmodule Blanket.Table.Binaries do
  @moduledoc false

  # The binaries that a table keeps outside the heap, for info(table, :binary).

  alias Blanket.Native

  @typep binary_info :: {non_neg_integer, non_neg_integer, integer}

  @doc """
  `{id, size, references}` of each such binary in each object.

  The copies that are made to find out are left out of the references, as far as they are known.
  """
  @spec of(Blanket.Table.table()) :: [binary_info]
  def of(table), do: table |> Native.scan(:start) |> of(table, [])

  defp of({objects, :"$end_of_table"}, _table, found),
    do: Enum.concat([in_objects(objects) | found])

  defp of({objects, cursor}, table, found),
    do: table |> Native.scan(cursor) |> of(table, [in_objects(objects) | found])

  # A process that has nothing but the objects tells of nothing but their binaries.
  defp in_objects(objects) do
    {pid, monitor} = spawn_monitor(__MODULE__, :tell, [objects])

    receive do
      {:DOWN, ^monitor, :process, ^pid, {:binaries, binaries}} -> without_copies(binaries)
    end
  end

  @doc false
  @spec tell([tuple]) :: no_return
  def tell(_objects) do
    {:binary, binaries} = Process.info(self(), :binary)
    exit({:binaries, binaries})
  end

  # One copy is the caller's, one that of the process that told.
  defp without_copies(binaries) do
    copies = Enum.frequencies_by(binaries, fn {id, _size, _references} -> id end)
    for {id, size, references} <- binaries, do: {id, size, references - 2 * copies[id]}
  end
end
