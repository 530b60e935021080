defmodule Blanket.Inspector.Objects do
  @moduledoc false

  # The objects of a table, a page at a time, as text. They are read by a process that was made for it
  # and owns nothing, so it sees what any process may see; and it may take only so much memory and time.
  #
  # Where the next page begins is remembered here, and told as a number.

  use GenServer

  alias Blanket.Table

  @page 20
  @match_all [{:_, [], [:"$_"]}]

  # Of all pages that were shown, where the next begins.
  @remembered 500

  @memory 128 * 1024 * 1024
  @time 3000

  # How much of a term is shown.
  @limits [limit: 50, printable_limit: 300, width: 100, pretty: true]
  @longest 2000

  @type token :: String.t()
  @type page :: %{objects: [{key :: String.t(), object :: String.t()}], next: token | nil}
  @type reason :: :no_access | :gone | :too_large | :too_slow | :unknown_page | :failed

  @spec start_link(term) :: GenServer.on_start()
  def start_link(_), do: GenServer.start_link(__MODULE__, nil)

  @doc """
  The first page, or the one that a token stands for.
  """
  @spec page(pid, reference, keypos :: pos_integer, token | :first) ::
          {:ok, page} | {:error, reason}
  def page(objects, table, keypos, at) do
    with {:ok, from} <- from(objects, table, at),
         {:ok, {rows, continuation}} <- read(table, keypos, from) do
      {:ok, %{objects: rows, next: remember(objects, table, continuation)}}
    end
  end

  defp from(_objects, _table, :first), do: {:ok, :first}

  defp from(objects, table, token) do
    case GenServer.call(objects, {:recall, token}) do
      {^table, continuation} -> {:ok, continuation}
      _ -> {:error, :unknown_page}
    end
  end

  defp remember(_objects, _table, :"$end_of_table"), do: nil

  defp remember(objects, table, continuation),
    do: GenServer.call(objects, {:remember, {table, continuation}})

  ## Reading

  defp read(table, keypos, from) do
    reader = fn -> exit({:read, rows(table, keypos, from)}) end
    size = div(@memory, :erlang.system_info(:wordsize))
    limit = %{size: size, kill: true, error_logger: false}
    {pid, monitor} = Process.spawn(reader, [:monitor, max_heap_size: limit])

    receive do
      {:DOWN, ^monitor, :process, _pid, {:read, answer}} -> answer
      {:DOWN, ^monitor, :process, _pid, :killed} -> {:error, :too_large}
      {:DOWN, ^monitor, :process, _pid, _reason} -> {:error, :failed}
    after
      @time ->
        Process.demonitor(monitor, [:flush])
        Process.exit(pid, :kill)
        {:error, :too_slow}
    end
  end

  defp rows(table, keypos, from) do
    case select(table, from) do
      :"$end_of_table" -> {:ok, {[], :"$end_of_table"}}
      {objects, continuation} -> {:ok, {Enum.map(objects, &row(&1, keypos)), continuation}}
    end
  rescue
    ArgumentError ->
      {:error, if(Table.info(table) == :undefined, do: :gone, else: :no_access)}
  end

  defp select(table, :first), do: Table.select(table, @match_all, @page)
  defp select(_table, continuation), do: Table.select(continuation)

  defp row(object, keypos), do: {show(elem(object, keypos - 1)), show(object)}

  defp show(term) do
    text = inspect(term, @limits)
    if String.length(text) > @longest, do: String.slice(text, 0, @longest) <> " …", else: text
  end

  ## What is remembered

  @impl true
  def init(nil), do: {:ok, {%{}, 1}}

  @impl true
  def handle_call({:remember, place}, _from, {places, number}) do
    places = places |> Map.put("#{number}", place) |> Map.delete("#{number - @remembered}")
    {:reply, "#{number}", {places, number + 1}}
  end

  def handle_call({:recall, token}, _from, {places, _} = state),
    do: {:reply, places[token], state}
end
